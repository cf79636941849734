#!/bin/sh
# Collect into /out the interpreter, its library, /opt/mini-kubernetes and every shared object that these load.
set -eu
cd /usr/lib/python3.11
rm -rf test idlelib lib2to3 tkinter turtledemo ensurepip pydoc_data config-* distutils unittest
mkdir -p /out/usr/bin /out/usr/lib /out/usr/lib64 /out/tmp /out/etc /out/opt
chmod 1777 /out/tmp
for name in bin lib lib64; do ln -s "usr/$name" "/out/$name"; done
cp -a /usr/bin/python3.11 /out/usr/bin/
ln -s python3.11 /out/usr/bin/python3
cp -a /usr/lib/python3.11 /out/usr/lib/
cp -a /opt/mini-kubernetes /out/opt/
find /out/usr/bin/python3.11 /out/usr/lib /out/opt -type f \( -name '*.so*' -o -name python3.11 \) -exec ldd {} + 2>/dev/null |
    grep -o '/[^ ]*\.so[^ ]*' | grep -v '^/out\|^/opt' | sort -u |
    while read -r library; do
        target=/out/usr${library#/usr}
        mkdir -p "$(dirname "$target")"
        cp -L "$library" "$target"
    done
printf 'root:x:0:0:root:/:/bin/false\ndns:x:65532:65532:dns:/:/bin/false\n' >/out/etc/passwd
/usr/bin/python3.11 -m compileall -q -j 2 -d / /out/usr/lib/python3.11 /out/opt/mini-kubernetes >/dev/null || true
