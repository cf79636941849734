#!/bin/bash
# Make a libvirt box of Debian 12 without a box server: a root file system and, beside it, the kernel that starts it.
#   box.sh [FOLDER]      default .build/box; then: vagrant box add --name mini-debian FOLDER/mini-debian.box
# What install-node.sh would install is in it already: under software emulation apt takes longer than everything else.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=${1:-.build/box}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
for program in mmdebstrap qemu-img mkfs.ext4; do
    command -v $program >/dev/null || { echo "box: $program is missing (apt-get install mmdebstrap qemu-utils e2fsprogs)" >&2; exit 1; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
key=$(find /usr/share/rubygems-integration /opt/vagrant -name vagrant.pub 2>/dev/null | head -n 1 || true)
[ -n "$key" ] || { echo "box: vagrant is missing" >&2; exit 1; }
cat >"$work/customize" <<SCRIPT
#!/bin/sh
set -eu
root=\$1
chroot "\$root" useradd -m -s /bin/bash vagrant
echo "vagrant ALL=(ALL) NOPASSWD: ALL" >"\$root/etc/sudoers.d/vagrant"
install -d -m 700 "\$root/home/vagrant/.ssh"
install -m 600 "$key" "\$root/home/vagrant/.ssh/authorized_keys"
chroot "\$root" chown -R vagrant:vagrant /home/vagrant/.ssh
printf 'auto lo eth0\niface lo inet loopback\niface eth0 inet dhcp\n' >"\$root/etc/network/interfaces"
echo "/dev/vda / ext4 defaults,noatime 0 1" >"\$root/etc/fstab"
echo debian >"\$root/etc/hostname"
: >"\$root/etc/machine-id"
chroot "\$root" systemctl disable -q etcd.service apt-daily.timer apt-daily-upgrade.timer
SCRIPT
chmod +x "$work/customize"
echo "box: mmdebstrap"
packages=linux-image-amd64,systemd-sysv,dbus,ifupdown,isc-dhcp-client,openssh-server,sudo,rsync,ca-certificates,kmod,procps,curl
packages+=,docker.io,etcd-server,etcd-client,iptables,iproute2,conntrack,containernetworking-plugins,apparmor,python3-venv
mmdebstrap --quiet --variant=minbase --include=$packages --customize-hook="$work/customize" \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' bookworm "$work/root.tar" >"$work/log" 2>&1 || { tail -n 20 "$work/log" >&2; exit 1; }
mkdir "$work/root"
tar -C "$work/root" --numeric-owner -xf "$work/root.tar"
cp -L "$work"/root/boot/vmlinuz-* "$folder/vmlinuz"
cp -L "$work"/root/boot/initrd.img-* "$folder/initrd.img"
truncate -s 8G "$work/disk"
mkfs.ext4 -q -F -d "$work/root" "$work/disk"
qemu-img convert -O qcow2 -c "$work/disk" "$work/box.img"
echo '{"provider": "libvirt", "format": "qcow2", "virtual_size": 8}' >"$work/metadata.json"
echo 'Vagrant.configure("2") { |config| config.ssh.insert_key = true }' >"$work/Vagrantfile"
tar -C "$work" -czf "$folder/mini-debian.box" metadata.json Vagrantfile box.img
echo "box: $folder/mini-debian.box, $(($(stat -c %s "$folder/mini-debian.box") >> 20)) MiB; kernel and initrd beside it"
