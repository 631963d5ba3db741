"""The directory of buckets: what was answered is there after a crash, and what users and requests do at once holds."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from modeldyno.domain.errors import ObjectError
from modeldyno.objects.folders import Folders
from modeldyno.objects.sinks import FileSink
from modeldyno.ports.buckets import (
    BucketNotEmpty,
    Changed,
    NoSuchBucket,
    NoSuchObject,
    NoSuchUpload,
    ObjectFacts,
    OutOfRoom,
    Part,
    Sink,
    UnusableName,
    UnusablePart,
    Upload,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "s3"


@pytest.fixture
def folders(root: Path) -> Folders:
    made = Folders(root)
    made.make_bucket("bucket")
    return made


def put(folders: Folders, key: str, data: bytes, unless: str | None = None, only: str | None = None) -> ObjectFacts:
    sink = folders.sink("bucket", 0)
    try:
        sink.write(data)
        facts = ObjectFacts(key, len(data), 0.0, hashlib.md5(data).hexdigest(), {"content-type": "text/plain"})
        return folders.store("bucket", facts, sink, unless, only)
    finally:
        sink.discard()


def read(folders: Folders, key: str) -> bytes:
    _, file = folders.open("bucket", key)
    with file:
        return file.read()


def left(root: Path) -> list[str]:
    """What lies beside the buckets and is not the facts of an object that is there."""
    return [str(path.relative_to(root)) for path in (root / ".dyno" / "incoming").rglob("*") if path.is_file()]


def test_a_reader_goes_on_with_the_bytes_it_began_with(folders: Folders) -> None:
    put(folders, "k", b"old")
    facts, file = folders.open("bucket", "k")
    put(folders, "k", b"new bytes")
    with file:
        assert file.read() == b"old"
    assert facts.size == 3
    assert read(folders, "k") == b"new bytes"


def test_facts_are_of_the_very_bytes_and_never_of_what_a_user_put_in_their_place(folders: Folders, root: Path) -> None:
    told = put(folders, "k", b"mine")
    assert folders.facts("bucket", "k") == told
    (root / "bucket" / "k").write_bytes(b"user's")
    by_hand = folders.facts("bucket", "k")
    assert by_hand.size == 6
    assert by_hand.headers == {}
    assert by_hand.etag != told.etag
    (root / "bucket" / "k").unlink()
    with pytest.raises(NoSuchObject):
        folders.facts("bucket", "k")


def test_of_many_that_write_a_key_only_if_there_is_none_one_wins(folders: Folders, root: Path) -> None:
    def attempt(number: int) -> bool:
        try:
            put(folders, "k", b"%d" % number, unless="*")
        except Changed:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(32))) == 1
    assert left(root) == []


def test_of_many_that_change_what_they_have_read_none_is_overwritten_unseen(folders: Folders) -> None:
    put(folders, "k", b"0")

    def add_one(_: int) -> None:
        while True:
            facts, file = folders.open("bucket", "k")
            with file:
                number = int(file.read())
            try:
                put(folders, "k", b"%d" % (number + 1), only=facts.etag)
            except Changed:
                continue
            return

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add_one, range(20)))
    assert read(folders, "k") == b"20"
    assert folders.facts("bucket", "k").headers == {"content-type": "text/plain"}


def test_writers_and_removers_of_one_folder_do_not_disturb_each_other(folders: Folders) -> None:
    """A remover takes away the folder that it leaves empty, while another writes into it."""
    end = threading.Event()

    def remove() -> None:
        while not end.is_set():
            folders.remove("bucket", "a/b/gone")

    thread = threading.Thread(target=remove)
    thread.start()
    try:
        for number in range(200):
            put(folders, "a/b/gone", b"x")
            put(folders, f"a/b/{number}", b"y")
            folders.remove("bucket", f"a/b/{number}")
    finally:
        end.set()
        thread.join()


def test_keys_are_told_in_order_of_their_bytes_page_by_page(folders: Folders) -> None:
    keys = ["a!", "a/b", "a/c/d", "a0", "b", "é", "\U0001f600"]
    for key in keys:
        put(folders, key, b"x")
    for limit in (1, 2, 3, 100):
        told: list[str] = []
        after = ""
        while True:
            page = folders.list("bucket", "", "", after, limit)
            told += [facts.key for facts in page.objects]
            if page.next is None:
                break
            after = page.next
        assert told == sorted(keys, key=str.encode)
    page = folders.list("bucket", "", "/", "", 100)
    assert (list(page.prefixes), [facts.key for facts in page.objects]) == (
        ["a/"],
        ["a!", "a0", "b", "é", "\U0001f600"],
    )


def test_a_page_of_a_large_folder_looks_at_no_more_than_it_needs(folders: Folders, root: Path) -> None:
    for number in range(3):
        put(folders, f"p{number}/k", b"x")
    (root / "bucket" / "p1" / "unreadable").mkdir()
    (root / "bucket" / "p1" / "unreadable").chmod(0o000)
    page = folders.list("bucket", "p2/", "", "", 10)
    assert [facts.key for facts in page.objects] == ["p2/k"]


MIB = 1024**2


def send(folders: Folders, upload: Upload, number: int, data: bytes, *, keep: bool = True) -> Sink:
    sink = folders.part_sink("bucket", upload, number, len(data))
    sink.write(data)
    if keep:
        folders.store_part("bucket", upload, Part(number, len(data), hashlib.md5(data).hexdigest(), 0.0), sink)
        sink.discard()
    return sink


def complete(folders: Folders, upload: Upload, numbers: list[int] | None = None) -> ObjectFacts:
    parts = [one for one in folders.parts("bucket", upload) if numbers is None or one.number in numbers]
    size = sum(part.size for part in parts)
    facts = ObjectFacts(upload.key, size, 0.0, f"tag-{len(parts)}", upload.headers, {}, len(parts))
    return folders.complete("bucket", upload, [(part.number, part.etag) for part in parts], facts)


def test_parts_are_joined_in_order_and_the_upload_is_gone(folders: Folders, root: Path) -> None:
    upload = folders.begin_upload("bucket", "dir/k", {"content-type": "a/b"}, None, False)
    for number, data in ((2, b"second"), (1, b"nonsense"), (1, b"first ")):
        send(folders, upload, number, data)
    assert [(part.number, part.size) for part in folders.parts("bucket", upload)] == [(1, 6), (2, 6)]
    with pytest.raises(UnusablePart):
        folders.complete("bucket", upload, [(1, "wrong")], ObjectFacts("dir/k", 6, 0.0, "tag"))
    told = complete(folders, upload)
    assert read(folders, "dir/k") == b"first second"
    assert (told.etag, told.headers, told.parts) == ("tag-2", {"content-type": "a/b"}, 2)
    with pytest.raises(NoSuchUpload):
        folders.upload("bucket", "dir/k", upload.id)
    assert left(root) == []
    assert not any((root / ".dyno" / "uploads" / "bucket").iterdir())


# What is sent: number, letter, MiB (and whether it is kept, or its sender is still at work); what is chosen, None: all.
@pytest.mark.parametrize(
    ("sent", "chosen"),
    [
        ([(1, "a", 2), (2, "b", 2), (3, "c", 1)], None),
        ([(3, "c", 2), (1, "a", 2), (2, "b", 2)], None),
        ([(2, "b", 2), (1, "a", 2), (2, "B", 2), (3, "c", 2), (3, "C", 1)], None),
        ([(1, "a", 2), (2, "b", 1), (3, "c", 2)], None),
        ([(3, "c", 1), (1, "a", 2), (2, "b", 2)], None),
        ([(1, "a", 2), (3, "c", 2), (7, "g", 2)], None),
        ([(1, "a", 2), (2, "b", 2), (3, "c", 2)], [1, 2]),
        ([(1, "a", 2), (2, "b", 2), (3, "c", 2)], [2, 3]),
        ([(1, "a", 2), (2, "x", 2, False), (2, "b", 2)], None),
        ([(1, "a", 2), (2, "b", 2), (3, "x", 2, False)], None),
        ([(1, "x", 2, False), (1, "a", 2), (2, "b", 2)], None),
        ([(1, "a", 2)], None),
    ],
)
def test_however_parts_come_the_object_is_what_was_kept_and_chosen(
    folders: Folders, root: Path, sent: list[Any], chosen: list[int] | None
) -> None:
    upload = folders.begin_upload("bucket", "k", {}, None, False)
    late = []
    kept: dict[int, bytes] = {}
    for number, letter, mebibytes, *keep in sent:
        data = letter.encode() * (mebibytes * MIB)
        sink = send(folders, upload, number, data, keep=not keep)
        if keep:
            late.append(sink)
        else:
            kept[number] = data
    assert complete(folders, upload, chosen).size == sum(len(kept[one]) for one in chosen or kept)
    for sink in late:  # whose request comes to its end only now
        sink.write(b"")
        with pytest.raises(NoSuchUpload):
            folders.store_part("bucket", upload, Part(1, 0, "x", 0.0), sink)
        sink.discard()
    assert read(folders, "k") == b"".join(kept[number] for number in sorted(chosen or kept))
    assert left(root) == []


def test_a_part_never_goes_beyond_its_place(folders: Folders) -> None:
    upload = folders.begin_upload("bucket", "k", {}, None, False)
    sink = folders.part_sink("bucket", upload, 1, 2 * MIB)
    send(folders, upload, 2, b"b" * 2 * MIB)
    sink.write(b"x" * 2 * MIB)
    with pytest.raises(ObjectError, match="larger than was said"):
        sink.write(b"x")
    sink.discard()
    send(folders, upload, 1, b"a" * 2 * MIB)
    complete(folders, upload)
    assert read(folders, "k") == b"a" * 2 * MIB + b"b" * 2 * MIB


def test_an_upload_that_could_not_be_completed_can_still_be(folders: Folders) -> None:
    put(folders, "k", b"there")
    upload = folders.begin_upload("bucket", "k", {}, None, False)
    for number, letter in ((1, b"a"), (2, b"b"), (2, b"c")):
        send(folders, upload, number, letter * 2 * MIB)
    tags = [(part.number, part.etag) for part in folders.parts("bucket", upload)]
    with pytest.raises(Changed):
        folders.complete("bucket", upload, tags, ObjectFacts("k", 4 * MIB, 0.0, "t"), "*")
    assert read(folders, "k") == b"there"
    complete(folders, upload)
    assert read(folders, "k") == b"a" * 2 * MIB + b"c" * 2 * MIB


def test_an_upload_outlives_the_process(folders: Folders, root: Path) -> None:
    upload = folders.begin_upload("bucket", "k", {}, "crc32", True)
    again = Folders(root)
    assert again.upload("bucket", "k", upload.id) == upload
    assert [one.id for one in again.uploads("bucket")] == [upload.id]
    for wrong in ("other", "../bucket", "", upload.id + "x"):
        with pytest.raises(NoSuchUpload):
            again.upload("bucket", "k", wrong)
    with pytest.raises(NoSuchUpload):
        again.upload("bucket", "another key", upload.id)


def test_what_a_crash_left_is_removed_and_what_is_at_work_is_not(folders: Folders, root: Path) -> None:
    old, new = folders.sink("bucket", 0), folders.sink("bucket", 0)
    old.write(b"x")
    os.utime(old.path, (time.time() - 100_000, time.time() - 100_000))
    folders.tidy()
    assert left(root) == [str(new.path.relative_to(root))]
    old.discard()
    new.discard()


def test_a_full_disk_is_told_and_leaves_the_old_object(
    folders: Folders, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(folders, "k", b"old")
    sink = folders.sink("bucket", 0)
    with Path("/dev/full").open("wb", buffering=0) as full:
        monkeypatch.setattr(sink, "_file", full)
        with pytest.raises(OutOfRoom, match="no room"):
            sink.write(b"new")
    monkeypatch.undo()
    sink.discard()
    assert read(folders, "k") == b"old"
    assert left(root) == []


def test_what_would_fill_the_disk_is_refused_before_it_comes(
    folders: Folders, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = folders.begin_upload("bucket", "k", {}, None, False)
    free = shutil.disk_usage(root)._replace(free=300 * MIB)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free)
    folders.sink("bucket", 40 * MIB).discard()
    for ask in (lambda: folders.sink("bucket", 50 * MIB), lambda: folders.part_sink("bucket", upload, 1, 50 * MIB)):
        with pytest.raises(OutOfRoom, match=rf"{50 * MIB} bytes do not fit: {300 * MIB} are free"):
            ask()


def test_an_upload_that_was_forgotten_is_given_up(folders: Folders, root: Path) -> None:
    old, new = (folders.begin_upload("bucket", "k", {}, None, False) for _ in range(2))
    place = root / ".dyno" / "uploads" / "bucket" / old.id
    month_ago = time.time() - 31 * 86_400
    for path in (*place.iterdir(), place):
        os.utime(path, (month_ago, month_ago))
    folders.tidy()
    assert [one.id for one in folders.uploads("bucket")] == [new.id]


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", ".", "..", "a/../b", "a\nb", "a\x00", "é" * 600])
def test_a_key_that_the_file_system_cannot_keep_is_refused(folders: Folders, key: str) -> None:
    with pytest.raises(UnusableName):
        put(folders, key, b"x")


@pytest.mark.parametrize("name", [".dyno", "..", "bucket/b", "", "-a", "a..b"])
def test_a_name_that_no_bucket_has_is_refused(folders: Folders, name: str) -> None:
    with pytest.raises(UnusableName):
        folders.make_bucket(name)
    assert not folders.has_bucket(name)


def test_a_bucket_with_something_in_it_is_kept(folders: Folders, root: Path) -> None:
    put(folders, "a/b", b"x")
    with pytest.raises(BucketNotEmpty):
        folders.remove_bucket("bucket")
    folders.remove("bucket", "a/b")
    (root / "bucket" / "empty" / "folders").mkdir(parents=True)
    folders.remove_bucket("bucket")
    with pytest.raises(NoSuchBucket):
        folders.list("bucket", "", "", "", 1)
    assert [name for name, _ in folders.buckets()] == []


@pytest.mark.parametrize("prefix", ["/", "//", "/etc/", "../", "../other/", "a/../../other/", "./", "a//", "a\0/"])
def test_no_prefix_leads_out_of_the_bucket(folders: Folders, root: Path, prefix: str) -> None:
    folders.make_bucket("other")
    (root / "other" / "secret").write_bytes(b"x")
    put(folders, "a/b", b"x")
    assert folders.list("bucket", prefix, "", "", 10).objects == []


@pytest.mark.parametrize("prefix", ["x" * 300 + "/", "a/" * 3000])
def test_a_prefix_that_no_key_can_have_is_that_of_none(folders: Folders, prefix: str) -> None:
    assert folders.list("bucket", prefix, "", "", 10).objects == []


@pytest.mark.parametrize("key", ["x" * 300, "a/" + "x" * 300, "loop/k"])
def test_what_cannot_be_there_is_not_there(folders: Folders, root: Path, key: str) -> None:
    (root / "bucket" / "loop").symlink_to("loop")
    with pytest.raises(NoSuchObject):
        folders.open("bucket", key)


def test_a_refused_key_leaves_no_facts(folders: Folders, root: Path) -> None:
    put(folders, "a/b", b"x")
    for _ in range(3):
        with pytest.raises(UnusableName):
            put(folders, "a", b"x")
    assert len([path for path in (root / ".dyno" / "facts").rglob("*") if path.is_file()]) == 1


def test_a_bucket_that_is_removed_takes_its_uploads_along(folders: Folders, root: Path) -> None:
    upload = folders.begin_upload("bucket", "k", {}, None, False)
    send(folders, upload, 1, b"x")
    folders.remove_bucket("bucket")
    folders.make_bucket("bucket")
    assert folders.uploads("bucket") == ()
    assert not [path for path in (root / ".dyno" / "uploads").rglob("*") if path.is_file()]


@pytest.mark.parametrize("upload_id", ["a" * 300, "a" * 5000, "\u0663" * 60, "", "..", "a/b"])
def test_an_id_that_no_upload_has_is_that_of_none(folders: Folders, upload_id: str) -> None:
    with pytest.raises(NoSuchUpload):
        folders.upload("bucket", "k", upload_id)


def test_of_many_that_send_a_part_at_once_each_is_kept_whole(folders: Folders) -> None:
    said = [b"%d" % number for number in range(8)]
    for turn in range(10):
        upload = folders.begin_upload("bucket", f"k{turn}", {}, None, False)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(send, [folders] * 8, [upload] * 8, [1] * 8, said))
        complete(folders, upload, [1])
        assert read(folders, f"k{turn}") in said


def test_a_crash_before_the_end_of_a_complete_upload_is_told_as_its_end(folders: Folders, root: Path) -> None:
    upload = folders.begin_upload("bucket", "k", {}, None, False)
    send(folders, upload, 1, b"x" * 1024**2)
    (root / ".dyno" / "uploads" / "bucket" / upload.id / "whole").unlink()  # it has become the object
    with pytest.raises(NoSuchUpload):
        complete(folders, upload)


def test_no_part_has_a_place_beyond_the_largest_object(folders: Folders, root: Path) -> None:
    upload = folders.begin_upload("bucket", "k", {}, None, False)
    for number in (1, 10_000):
        folders.part_sink("bucket", upload, number, 1024**3).discard()
    folder = root / ".dyno" / "uploads" / "bucket" / upload.id
    assert [path.name for path in folder.glob("stride-*")] == [f"stride-{1024**3}"]
    assert not list(folder.glob("place-*"))
    sink = folders.part_sink("bucket", upload, 10_000, 1024**3)
    assert type(sink) is FileSink
    sink.discard()


def test_an_upload_that_could_not_begin_leaves_nothing(
    folders: Folders, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("modeldyno.objects.parts.os.fsync", full)
    with pytest.raises(OutOfRoom):
        folders.begin_upload("bucket", "k", {}, None, False)
    assert not list((root / ".dyno" / "uploads" / "bucket").iterdir())
