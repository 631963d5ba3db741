"""Version 2 of cgroups, for real: the contract and the tests of instances in a small virtual machine.

It boots Debian's cloud kernel with an initramfs made of this interpreter and the package (image.py); everything is
fetched by prepare.sh into .cache/vm. The processor is emulated: nested hardware virtualisation is seldom complete, and
fails in ways that look like a hanging kernel. So it takes some minutes.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.vm.image import REPOSITORY, write_image

CACHE = REPOSITORY / ".cache" / "vm"
LIMIT_SECONDS = 1500


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> str:
    """All that the machine said, from boot to power-off."""
    subprocess.run([Path(__file__).with_name("prepare.sh"), CACHE], check=True)
    image = tmp_path_factory.mktemp("vm") / "initramfs"
    write_image(image, CACHE / "busybox")
    machine = ["qemu-system-x86_64", "-nodefaults", "-no-reboot", "-nographic", "-serial", "stdio"]
    machine += ["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1536"]
    machine += ["-kernel", str(CACHE / "vmlinuz"), "-initrd", str(image)]
    machine += ["-append", "console=ttyS0 quiet panic=-1 random.trust_cpu=on mitigations=off"]
    done = subprocess.run(machine, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT_SECONDS, check=False)
    said = done.stdout.decode(errors="replace").replace("\r", "")
    assert "THE END" in said, said[-5000:] + done.stderr.decode(errors="replace")
    return said


@pytest.mark.timeout(LIMIT_SECONDS + 60)
@pytest.mark.parametrize("suite", ["root", "places", "nobody"])
def test_everything_passes_on_version_2(suite: str, console: str) -> None:
    said = console.partition(f"BEGIN {suite}\n")[2].partition(f"RESULT {suite} ")
    assert re.search(r"^\d+ passed", said[0], re.MULTILINE), said[0]
    assert said[2].startswith("0\n"), said[0]
