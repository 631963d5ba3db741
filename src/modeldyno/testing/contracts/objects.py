"""What every `ports.ObjectStore` does. Subclass, and give the fixture `objects`."""

# ruff: noqa: D102  (the name of a test says what it shows)

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from modeldyno.domain.errors import InputFault, ObjectError
from modeldyno.ports import ArchiveLimits, ObjectStore

LIMITS = ArchiveLimits(total_bytes=100_000_000, members=1000)
URL = "s3://bucket/folder/key.bin"


def tar_gz(**files: bytes) -> bytes:
    """An archive of these files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


class ObjectStoreContract:
    """Collected by pytest in a subclass named ``Test...``.

    `objects`: an object store in which the bucket ``bucket`` can be written, empty when a test begins, and no other
    bucket is.
    """

    def test_bytes_come_back_as_they_were_put(self, objects: ObjectStore, tmp_path: Path) -> None:
        objects.put(URL, b"hello")
        assert objects.read(URL, 5) == b"hello"
        assert objects.fetch(URL, tmp_path / "copy") == 5
        assert (tmp_path / "copy").read_bytes() == b"hello"
        assert list(tmp_path.iterdir()) == [tmp_path / "copy"]

    def test_a_large_file_comes_back_whole(self, objects: ObjectStore, tmp_path: Path) -> None:
        source = tmp_path / "large"
        source.write_bytes(bytes(range(256)) * 50_000)
        objects.put(URL, source)
        assert objects.fetch(URL, tmp_path / "copy") == source.stat().st_size
        assert (tmp_path / "copy").read_bytes() == source.read_bytes()

    def test_an_empty_object_is_an_object(self, objects: ObjectStore, tmp_path: Path) -> None:
        objects.put(URL, b"")
        assert objects.exists(URL)
        assert objects.fetch(URL, tmp_path / "copy") == 0

    def test_a_second_put_replaces_the_object(self, objects: ObjectStore) -> None:
        objects.put(URL, b"a longer one")
        objects.put(URL, b"new")
        assert objects.read(URL, 100) == b"new"

    @pytest.mark.parametrize("key", ["a b.txt", "a%20b", "ünï/cödé", "x#y", "a?b&c", "a+b", ".hidden", "~", "a:b=c,d"])
    def test_odd_keys_are_kept_as_they_are(self, objects: ObjectStore, key: str) -> None:
        objects.put(f"s3://bucket/{key}", key.encode())
        assert objects.read(f"s3://bucket/{key}", 100) == key.encode()

    def test_what_is_not_there_does_not_exist(self, objects: ObjectStore) -> None:
        objects.put("s3://bucket/file", b"x")
        assert objects.exists("s3://bucket/file")
        for url in ("s3://bucket/other", "s3://bucket/file/below", "s3://bucket/fil", "s3://no-such-bucket/x"):
            assert not objects.exists(url)

    def test_a_missing_object_is_told_by_its_url(self, objects: ObjectStore, tmp_path: Path) -> None:
        for url in ("s3://bucket/none", "s3://no-such-bucket/none"):
            for call in (
                lambda url=url: objects.read(url, 10),
                lambda url=url: objects.fetch(url, tmp_path / "copy"),
                lambda url=url: objects.unpack(url, tmp_path / "content", LIMITS),
            ):
                with pytest.raises(ObjectError, match=f"{url}: there is no"):
                    call()
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        "url",
        [
            "",
            "bucket/key",
            "http://bucket/key",
            "s3:/bucket/key",
            "s3://",
            "s3://bucket",
            "s3://bucket/",
            "s3:///key",
            "s3://../key",
            "s3://bucket/../key",
            "s3://bucket/a/../../key",
            "s3://bucket/./key",
            "s3://bucket//key",
            "s3://bucket/folder/",
            "s3://bucket/line\nbreak",
            "s3://bucket/nul\0",
            "s3://bucket/" + "k" * 1025,
        ],
    )
    def test_a_bad_url_is_refused_and_told(self, objects: ObjectStore, tmp_path: Path, url: str) -> None:
        for call in (
            lambda: objects.put(url, b"x"),
            lambda: objects.read(url, 10),
            lambda: objects.exists(url),
            lambda: objects.fetch(url, tmp_path / "copy"),
            lambda: objects.unpack(url, tmp_path / "content", LIMITS),
        ):
            with pytest.raises(ObjectError, match="is not the URL of an object"):
                call()

    def test_an_object_over_the_limit_is_not_read(self, objects: ObjectStore) -> None:
        objects.put(URL, b"hello")
        with pytest.raises(ObjectError, match="it has 5 bytes, 4 are allowed"):
            objects.read(URL, 4)

    def test_a_source_that_is_not_there_is_told(self, objects: ObjectStore, tmp_path: Path) -> None:
        with pytest.raises(ObjectError, match="there is no file"):
            objects.put(URL, tmp_path / "none")

    # archives
    def test_an_archive_is_unpacked(self, objects: ObjectStore, tmp_path: Path) -> None:
        archive = tar_gz(**{"model.bin": b"weights", "code/inference.py": b"pass"})
        objects.put(URL, archive)
        (tmp_path / "content").mkdir()
        facts = objects.unpack(URL, tmp_path / "content", LIMITS)
        assert (tmp_path / "content/model.bin").read_bytes() == b"weights"
        assert (tmp_path / "content/code/inference.py").read_bytes() == b"pass"
        assert (facts.files, facts.total_bytes, facts.sha256) == (2, 11, hashlib.sha256(archive).hexdigest())
        assert list(tmp_path.iterdir()) == [tmp_path / "content"]

    def test_a_refused_archive_leaves_nothing(self, objects: ObjectStore, tmp_path: Path) -> None:
        objects.put(URL, tar_gz(**{"good": b"x", "../bad": b"x"}))
        with pytest.raises(InputFault, match=r"s3://bucket/folder/key.bin cannot be used.*'\.\./bad'"):
            objects.unpack(URL, tmp_path / "content", LIMITS)
        assert list(tmp_path.iterdir()) == []

    def test_an_archive_over_the_limits_is_refused(self, objects: ObjectStore, tmp_path: Path) -> None:
        objects.put(URL, tar_gz(a=bytes(1000), b=bytes(1000)))
        for limits, rule in ((ArchiveLimits(1999, 10), "1999 bytes"), (ArchiveLimits(10_000, 1), "1 members")):
            with pytest.raises(InputFault, match=rule):
                objects.unpack(URL, tmp_path / "content", limits)
        assert objects.unpack(URL, tmp_path / "content", ArchiveLimits(2000, 2)).files == 2

    def test_nothing_is_unpacked_over_what_is_there(self, objects: ObjectStore, tmp_path: Path) -> None:
        objects.put(URL, tar_gz(a=b"x"))
        (tmp_path / "content").mkdir()
        (tmp_path / "content/mine").write_text("mine")
        with pytest.raises(ObjectError, match="is there already"):
            objects.unpack(URL, tmp_path / "content", LIMITS)
        assert [path.name for path in (tmp_path / "content").iterdir()] == ["mine"]
