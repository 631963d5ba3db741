"""Where facts are kept: tables, queries, migrations."""
