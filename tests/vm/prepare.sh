#!/bin/sh
# Fetches what the virtual machine needs into .cache/vm: Debian's cloud kernel and a static busybox, and installs
# qemu-system-x86 where it is missing. Needs Debian's apt, and root for the installation only.
set -eu
cache=${1:?usage: prepare.sh CACHE_DIRECTORY}
[ -s "$cache/vmlinuz" ] && [ -s "$cache/busybox" ] && command -v qemu-system-x86_64 >/dev/null && exit 0
mkdir -p "$cache/packages"
command -v qemu-system-x86_64 >/dev/null ||
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends qemu-system-x86
kernel=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
(cd "$cache/packages" && apt-get download -qq -o APT::Sandbox::User=root "$kernel" busybox-static)
for package in "$cache/packages"/*.deb; do
    dpkg-deb -x "$package" "$cache/packages/unpacked"
done
cp "$cache"/packages/unpacked/boot/vmlinuz-* "$cache/vmlinuz"
cp "$cache/packages/unpacked/bin/busybox" "$cache/busybox"
rm -rf "$cache/packages"
