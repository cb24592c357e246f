#!/usr/bin/env bash
# Makes pynn for another processor, and what runs it there: an emulated CPython for 64-bit ARM from
# Debian's or Ubuntu's packages, NumPy's wheel, and the core cross-compiled as CMakeLists.txt says.
#
#     tools/aarch64.sh FOLDER                    # from the root of a checkout
#     FOLDER/python -c "import pynn; pynn.show_config()"
#     PYNN_AARCH64=FOLDER pytest tests/reliability/test_aarch64.py
#
# Needs x86-64 Linux with apt-get, aarch64-linux-gnu-g++ and qemu-aarch64 (Debian:
# g++-aarch64-linux-gnu, qemu-user), and Python with venv. Nothing is installed outside of FOLDER.
set -euo pipefail

source=$PWD
mkdir -p "$1"
folder=$(cd "$1" && pwd)
root=$folder/root
emulator=$(command -v qemu-aarch64 || command -v qemu-aarch64-static)
cd "$folder"

# apt-get with lists and a state of its own, for packages of the other architecture.
mkdir -p apt/sources apt/state/lists/partial apt/cache/archives/partial packages
: >apt/state/status
for file in /etc/apt/sources.list /etc/apt/sources.list.d/{debian,ubuntu}.sources; do
    if [ -f "$file" ]; then cp "$file" apt/sources; fi
done
if [ -f apt/sources/sources.list ]; then mv apt/sources/sources.list apt/sources/old.list; fi
cat >apt/apt.conf <<END
APT::Architecture "arm64";
APT::Architectures { "arm64"; };
APT::Sandbox::User "root";
Acquire::http::Timeout "30";
Dir::State "$folder/apt/state";
Dir::State::status "$folder/apt/state/status";
Dir::Cache "$folder/apt/cache";
Dir::Etc::sourcelist "-";
Dir::Etc::sourceparts "$folder/apt/sources";
END
export APT_CONFIG=$folder/apt/apt.conf
apt-get -qq update
version=$(apt-cache depends python3-minimal | sed -n 's/.*Depends: python\(3\.[0-9]*\)-minimal.*/\1/p')
(cd packages && apt-get -qq download libc6 libgcc-s1 libstdc++6 libgomp1 zlib1g libexpat1 libffi8 \
    libbz2-1.0 liblzma5 libcrypt1 libuuid1 "python$version-minimal" "libpython$version-minimal" \
    "libpython$version-stdlib" "libpython$version-dev")
for package in packages/*.deb; do dpkg-deb -x "$package" "$root"; done
unset APT_CONFIG

cat >python <<END
#!/bin/sh
PYTHONPATH="$folder/packages\${PYTHONPATH:+:\$PYTHONPATH}"
export PYTHONPATH
exec "$emulator" -L "$root" "$root/usr/bin/python$version" "\$@"
END
chmod +x python

"${PYTHON:-python3}" -m venv tools
tools/bin/pip install --quiet cmake ninja pybind11
tools/bin/pip install --quiet --no-deps --target packages --only-binary=:all: \
    --python-version "$version" --implementation cp --platform manylinux_2_28_aarch64 \
    --platform manylinux_2_27_aarch64 --platform manylinux2014_aarch64 numpy

# CMake asks the emulated Python for its headers, NumPy's, and the name that it gives extensions. From
# 4.1 on it does so only under policy CMP0190, through an emulator: ./python needs none, so env is one.
tools/bin/cmake -S "$source" -B build -G Ninja -DCMAKE_MAKE_PROGRAM="$folder/tools/bin/ninja" \
    -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 \
    -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++ -DPYNN_WERROR=ON \
    -DCMAKE_CXX_FLAGS="-idirafter $root/usr/include" -DPython_EXECUTABLE="$folder/python" \
    -DCMAKE_POLICY_DEFAULT_CMP0190=NEW -DCMAKE_CROSSCOMPILING_EMULATOR="$(command -v env)" \
    -Dpybind11_DIR="$(tools/bin/python -m pybind11 --cmakedir)" >cmake.log
tools/bin/cmake --build build >>cmake.log
rm -rf packages/pynn
cp -R "$source/pynn" packages
rm -f packages/pynn/_core*.so
cp build/_core*.so packages/pynn
./python -c "import pynn; pynn.show_config()"
