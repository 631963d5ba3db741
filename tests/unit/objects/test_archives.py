"""What an archive that nobody trusts can and cannot do."""

import gzip
import io
import os
import random
import stat
import tarfile

import pytest

from modeldyno.objects.archives import UnusableArchive, unpack_archive
from modeldyno.ports import ArchiveLimits

LIMITS = ArchiveLimits(total_bytes=10_000_000, members=100)


def member(name, kind=tarfile.REGTYPE, content=b"", mode=0o644, link="", **headers):
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.linkname, info.size = kind, mode, link, len(content)
    info.pax_headers = headers
    return info, content


def link(name, to):
    return member(name, tarfile.SYMTYPE, link=to)


def hard_link(name, to):
    return member(name, tarfile.LNKTYPE, link=to)


def tar_of(*members, form=tarfile.PAX_FORMAT):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def unpack(tmp_path):
    def act(data, limits=LIMITS):
        (tmp_path / "archive").write_bytes(data)
        facts = unpack_archive(tmp_path / "archive", tmp_path / "content", limits)
        return facts, tmp_path / "content"

    return act


@pytest.fixture
def refused(unpack, tmp_path):
    def act(data, rule, limits=LIMITS):
        outside = {path for path in tmp_path.rglob("*") if tmp_path / "content" not in (path, *path.parents)}
        with pytest.raises(UnusableArchive, match=rule):
            unpack(data, limits)
        left = {path for path in tmp_path.rglob("*") if tmp_path / "content" not in (path, *path.parents)}
        assert left - outside <= {tmp_path / "archive"}

    return act


def test_files_folders_and_links_inside_are_kept(unpack):
    facts, content = unpack(
        gzip.compress(
            tar_of(
                member("./", tarfile.DIRTYPE),
                member("./model/", tarfile.DIRTYPE),
                member("./model/weights.bin", content=b"w" * 1000),
                hard_link("model/same.bin", "./model/weights.bin"),
                link("current", "model/weights.bin"),
                link("model/up", "../model"),
                link("later", "deep/er/file"),
                member("deep/er/file", content=b"x"),
            )
        )
    )
    assert (facts.files, facts.total_bytes) == (3, 1001)
    assert (content / "current").read_bytes() == (content / "model/same.bin").read_bytes() == b"w" * 1000
    assert os.readlink(content / "model/up") == "../model"
    assert (content / "later").read_bytes() == b"x"


def test_modes_are_sane_whatever_the_archive_says(unpack):
    _, content = unpack(
        gzip.compress(
            tar_of(
                member("d", tarfile.DIRTYPE, mode=0o7000),
                member("d/setuid", content=b"x", mode=0o6755),
                member("d/secret", content=b"x", mode=0o000),
            )
        )
    )
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (content, *content.rglob("*"))}
    assert modes == {"content": 0o755, "d": 0o755, "setuid": 0o755, "secret": 0o644}
    assert {path.stat().st_uid for path in content.rglob("*")} == {os.geteuid()}


def test_what_macos_adds_is_left_out(unpack):
    facts, content = unpack(
        gzip.compress(
            tar_of(
                member("._model.bin", content=b"junk"),
                member("model.bin", content=b"x", **{"LIBARCHIVE.xattr.com.apple.quarantine": "abc"}),
                member("code/.DS_Store", content=b"junk"),
                member("code/._inference.py", content=b"junk"),
                member("__MACOSX/x", content=b"junk"),
                member("code/inference.py", content=b"y"),
            )
        )
    )
    assert facts.files == 2
    assert sorted(path.name for path in content.rglob("*") if path.is_file()) == ["inference.py", "model.bin"]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_tar_format_with_long_and_foreign_names_is_read(unpack, form):
    name = "folder/" * 15 + "é.bin" if form != tarfile.USTAR_FORMAT else "a" * 90
    _, content = unpack(gzip.compress(tar_of(member(name, content=b"x"), form=form)))
    assert (content / name).read_bytes() == b"x"


def test_a_file_given_twice_is_the_later_one(unpack):
    _, content = unpack(gzip.compress(tar_of(member("a", content=b"old"), member("a", content=b"new"))))
    assert (content / "a").read_bytes() == b"new"


@pytest.mark.parametrize(
    ("members", "rule"),
    [
        ([member("/etc/evil", content=b"x")], "'/etc/evil' has the absolute path"),
        ([member("../evil", content=b"x")], r"leads out of the archive by '\.\.'"),
        ([member("a/../../evil", content=b"x")], r"leads out of the archive by '\.\.'"),
        ([link("l", "/etc/passwd")], "'l' is a link to the absolute path '/etc/passwd'"),
        ([link("l", "../outside")], "'l' is a link to '../outside', outside"),
        ([link("a/b/up", "../.."), link("n", "a/b/up/..")], "'n' is a link to 'a/b/up/..', outside"),
        ([link("l", "nothing/../../x")], "outside of the archive"),
        ([link("l", "../outside"), member("l/evil", content=b"x")], "is a folder, too"),
        ([link("l", ".."), link("l/evil", "x")], "lies in a file or link"),
        ([member("f", content=b"x"), member("f/evil", content=b"x")], "lies in a file"),
        ([member("d", tarfile.DIRTYPE), member("d", content=b"x")], "is a folder, too"),
        ([hard_link("h", "/etc/passwd")], "absolute path '/etc/passwd'"),
        ([hard_link("h", "../outside")], "leads out"),
        ([hard_link("h", "missing")], "is a link to 'missing', no file before it"),
        ([link("l", "x"), hard_link("h", "l")], "no file before it"),
        ([member("null", tarfile.CHRTYPE)], "'null' is a device"),
        ([member("disk", tarfile.BLKTYPE)], "'disk' is a device"),
        ([member("pipe", tarfile.FIFOTYPE)], "'pipe' is a named pipe"),
        ([member("odd", b"V", content=b"")], "of the unknown kind"),
        ([member("n" * 300, content=b"x")], "File name too long"),
        ([member("d", tarfile.DIRTYPE)], "it is empty"),
        ([member("._only", content=b"x")], "it is empty"),
        ([], "it is empty"),
    ],
)
def test_dangerous_content_is_refused_by_name(refused, members, rule):
    refused(gzip.compress(tar_of(*members)), rule)


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"", "an empty file"),
        (b"PK\x03\x04rest", "looks like a zip archive"),
        (b"BZh91AY", "looks like bzip2"),
        (b"\xfd7zXZ\x00..", "looks like xz"),
        (b"<html>not found</html>", "looks like HTML"),
        (b"some words", "it is not gzip"),
        (tar_of(member("a", content=b"x")), "looks like a plain tar"),
        (gzip.compress(b"some words", mtime=0), "not a tar archive"),
        (gzip.compress(b"some words" * 1000, mtime=0), "not a tar archive"),
        (gzip.compress(b"", mtime=0), "empty file"),
        (b"\x1f\x8b\x08\x00garbage that is no deflate stream", "damaged"),
    ],
)
def test_what_is_no_tar_gz_is_told_for_what_it_is(refused, data, rule):
    refused(data, rule)


def test_a_cut_archive_is_refused_wherever_it_is_cut(refused, tmp_path):
    noise = random.Random(1).randbytes(3000)
    whole = gzip.compress(tar_of(member("a", content=noise), member("b", content=noise)))
    for length in range(20, len(whole), 487):
        refused(whole[:length], "cut off|damaged")
        for path in sorted((tmp_path / "content").rglob("*"), reverse=True):
            path.unlink()
        (tmp_path / "content").rmdir()


def test_a_cut_tar_in_a_whole_gzip_is_refused(refused):
    whole = tar_of(member("a", content=b"x" * 5000))
    refused(gzip.compress(whole[:2000]), "cut off|damaged")


def test_a_broken_header_in_the_middle_is_no_end(refused):
    data = bytearray(tar_of(member("a", content=b"x"), member("b", content=b"x")))
    data[1024 + 150] ^= 0xFF
    refused(gzip.compress(bytes(data)), "header cannot be read")


def test_a_wrong_checksum_is_refused(refused):
    data = bytearray(gzip.compress(tar_of(member("a", content=b"x"))))
    data[-6] ^= 0xFF
    refused(bytes(data), "damaged")


def test_a_bomb_is_refused_before_it_fills_the_disk(refused, tmp_path):
    header = tarfile.TarInfo("zeros")
    header.size = 10 * LIMITS.total_bytes
    packed = gzip.compress(header.tobuf() + bytes(header.size))
    assert len(packed) < LIMITS.total_bytes / 50
    refused(packed, "more than 10000000 bytes .at its member 'zeros'")
    assert sum(path.stat().st_size for path in (tmp_path / "content").rglob("*")) == 0


def test_what_is_left_out_counts_for_the_limits_too(refused):
    refused(gzip.compress(tar_of(member("._x", content=bytes(2000)))), "more than 1000 bytes", ArchiveLimits(1000, 10))


def test_more_than_the_disk_has_is_refused(refused):
    header = tarfile.TarInfo("zeros")
    header.size = 1 << 60
    refused(gzip.compress(header.tobuf(tarfile.GNU_FORMAT)), "that the disk has", ArchiveLimits(1 << 62, 10))


def test_an_absurdly_deep_folder_is_refused(refused, tmp_path):
    refused(gzip.compress(tar_of(member("/".join(["a"] * 1500)))), "lies more than 100 folders deep")
    assert list((tmp_path / "content").iterdir()) == []


def test_too_many_members_are_refused(refused):
    refused(gzip.compress(tar_of(*(member(f"m{n}", content=b"x") for n in range(101)))), "more than 100 members")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_an_absurdly_long_header_is_not_read_into_memory(refused, kind):
    header = tarfile.TarInfo("name")
    header.type, header.size = kind, 1 << 30
    refused(gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + bytes(10_000_000)), "absurdly long header")


def test_headers_upon_headers_are_refused(refused):
    header = tarfile.TarInfo("name")
    header.type, header.size = tarfile.XHDTYPE, 512
    block = header.tobuf() + b"11 path=abc\n".ljust(512, b"\0")
    refused(gzip.compress(block * 5000), "damaged")


def test_a_sparse_file_is_unpacked_as_it_reads(unpack, tmp_path):
    import subprocess

    (tmp_path / "sparse").write_bytes(b"")
    with (tmp_path / "sparse").open("r+b") as file:
        file.seek(1_000_000)
        file.write(b"end")
    command = ["tar", "-czSf", tmp_path / "made", "-C", tmp_path, "sparse"]
    subprocess.run(command, check=True)
    _, content = unpack((tmp_path / "made").read_bytes())
    assert (content / "sparse").read_bytes() == bytes(1_000_000) + b"end"
