"""What runs inside an instance: the script-mode model server. Imports nothing of the rest."""
