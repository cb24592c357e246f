"""A file is the old one or the new one, whatever happens in between."""

import errno
import os
import pathlib
import stat
import subprocess
import sys
import tempfile
import threading

import numpy as np
import pytest
from model_files import SUFFIXES
from numpy_mlp import assert_same_bits, run_python

import pynn
from pynn.files import atomic, npz, tensors

posix = pytest.mark.skipif(os.name != "posix", reason="POSIX's permissions, links and signals")


@pytest.fixture
def old():
    return pynn.MLP([3, 4, 2], seed=1)


@pytest.fixture
def new():
    return pynn.MLP([40, 50, 2], seed=2)


@pytest.fixture(params=SUFFIXES)
def path(request, tmp_path):
    if request.param == ".safetensors":
        pytest.importorskip("safetensors")
    return tmp_path / f"net{request.param}"


class Broken(Exception):
    pass


def raising(error):
    def function(*args, **kwargs):
        raise error

    return function


def half_a_write(file, header, arrays):
    file.write(b"PK\x03\x04" + b"x" * 100_000)
    raise Broken


FAILURES = {
    "in the middle": [(npz, "write", half_a_write), (tensors, "write", half_a_write)],
    "Ctrl-C": [(m, "write", raising(KeyboardInterrupt())) for m in (npz, tensors)],
    "no space": [(os, "fsync", raising(OSError(errno.ENOSPC, "No space left")))],
    "before the renaming": [(os, "replace", raising(PermissionError("no")))],
    "when it is made": [(os, "open", raising(OSError(errno.EMFILE, "Too many open files")))],
    "out of memory": [(np, "ascontiguousarray", raising(MemoryError()))],
}


@pytest.mark.parametrize("changes", FAILURES.values(), ids=list(FAILURES))
@pytest.mark.parametrize("there", [True, False])
def test_failures(path, old, new, monkeypatch, changes, there):
    if there:
        old.save(path)
    with monkeypatch.context() as patch:
        for module, name, function in changes:
            patch.setattr(module, name, function)
        with pytest.raises((Broken, OSError, MemoryError, KeyboardInterrupt)):
            new.save(path)
    assert [file.name for file in path.parent.iterdir()] == [path.name] * there
    if there:
        assert_same_bits(pynn.load(path), old)
    new.save(path)
    assert_same_bits(pynn.load(path), new)


def test_failures_after_every_number_of_bytes(path, old, new, monkeypatch):
    """The n-th call of the file's `write` fails."""
    old.save(path)
    before = path.read_bytes()
    for count in range(1000):
        calls = iter(range(count))

        class Full:
            def __init__(self, file):
                self.file = file

            def write(self, data, calls=calls):
                if next(calls, None) is None:
                    raise OSError(errno.ENOSPC, "No space left on device")
                return self.file.write(data)

            def __getattr__(self, name):
                return getattr(self.file, name)

        with monkeypatch.context() as patch:
            for module in (npz, tensors):
                write = module.write
                patch.setattr(
                    module, "write", lambda file, *rest, write=write: write(Full(file), *rest)
                )
            try:
                new.save(path)
                break
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
        assert path.read_bytes() == before
        assert len(list(path.parent.iterdir())) == 1
    assert count >= (20 if path.suffix == ".npz" else 1)
    assert_same_bits(pynn.load(path), new)


@posix
def test_the_file_is_on_the_disk_before_it_has_its_name(path, old, monkeypatch):
    calls = []

    def fsync(descriptor, call=os.fsync):
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        calls.append(("fsync", "folder" if is_folder else os.fstat(descriptor).st_size))
        call(descriptor)

    def replace(a, b, call=os.replace):
        calls.append(("replace", b))
        call(a, b)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    old.save(path)
    size = path.stat().st_size
    assert calls == [("fsync", size), ("replace", str(path)), ("fsync", "folder")]


@posix
def test_a_limit_of_the_files_size(path, old, new):
    """As a quota does, or a full disk."""
    old.save(path)
    code = f"""
import errno, resource, pynn
net = pynn.MLP([40, 50, 2], seed=2)
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))
try:
    net.save({str(path)!r})
except OSError as error:
    print(errno.errorcode[error.errno])
"""
    assert run_python(code, path.parent).split() == ["EFBIG"]
    assert_same_bits(pynn.load(path), old)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mounts a tmpfs")
def test_a_full_disk(tmp_path, old):
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a file system cannot be mounted here")
    try:
        path = tmp_path / "net.npz"
        old.save(path)
        with pytest.raises(OSError, match="No space left"):
            pynn.MLP([100, 400], seed=2).save(path)
        assert_same_bits(pynn.load(path), old)
        assert list(tmp_path.iterdir()) == [path]
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_file_object(old):
    with pytest.raises(OSError, match="No space left"), open("/dev/full", "wb") as file:
        old.save(file)


# Networks whose weights are all one number: a mixture of two files would show.
KILLED = """
import os, pathlib, random, signal, sys, time
import numpy as np
import pynn

path, kills = pathlib.Path(sys.argv[1]), 200
random.seed(5)


def save_for_ever(first):
    for number in range(first, first + 10**6):
        net.weights[0][...] = net.biases[0][...] = number
        net.save(path)


def there():
    net = pynn.load(path)
    numbers = np.unique(np.concatenate([net.weights[0].ravel(), net.biases[0]]))
    assert len(numbers) == 1, numbers
    leftovers = [file for file in path.parent.iterdir() if file != path]
    assert all(file.name.startswith(".pynn-") for file in leftovers), leftovers
    return int(numbers[0]), leftovers


net = pynn.MLP([300, 400], seed=0)
net.weights[0][...] = net.biases[0][...] = 0
net.save(path)
start = time.perf_counter()
for _ in range(5):
    net.save(path)
duration = (time.perf_counter() - start) / 5
files, hits, last = set(), 0, 0
for kill in range(kills):
    child = os.fork()
    if child == 0:
        save_for_ever(1 + kill * 1000)
    time.sleep(4 * duration * random.random())
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    number, leftovers = there()
    assert number >= last
    last = number
    files.add(number)
    hits += bool(leftovers)
    assert len(leftovers) <= 1, leftovers
net.save(path)
assert there() == (0, [])
print(len(files), hits)
"""


@posix
def test_kills(path):
    """200 times at a random moment; each next save removes what the kill left."""
    if path.suffix == ".safetensors":
        pytest.skip("one kind of file is enough")
    files, hits = map(int, run_python(KILLED, path.parent, path, timeout=120).split())
    assert files > 5
    assert hits > 20  # it was being written when the process was killed


WRITER = """
import sys
import pynn
net = pynn.MLP([30, int(sys.argv[2])], seed=int(sys.argv[2]))
for _ in range(150):
    net.save(sys.argv[1])
    assert pynn.load(sys.argv[1]).layer_sizes in ((30, 20), (30, 21), (30, 22))
"""


def test_several_writers_at_once(path):
    """No process or thread takes another's file for a leftover."""
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(size)], cwd=path.parent)
        for size in (20, 21)
    ]
    errors = []

    def write():
        net = pynn.MLP([30, 22], seed=22)
        try:
            for _ in range(150):
                net.save(path)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [writer.wait(60) for writer in writers] == [0, 0]
    assert errors == []
    assert list(path.parent.iterdir()) == [path]


@posix
def test_only_ones_own_leftovers_are_removed(tmp_path, old):
    path = tmp_path / "net.npz"
    with atomic.replacing(str(path)):
        (name,) = os.listdir(tmp_path)
    prefix = name[: -len("0123456789abcdef.tmp")]
    other = prefix.replace("-", "-0", 1)
    keep = [f"{prefix}0123.tmp", f"{other}0123456789abcdef.tmp", ".pynn.tmp", "net.npz.tmp"]
    for file in (*keep, f"{prefix}0123456789abcdef.tmp"):
        (tmp_path / file).touch()
    (tmp_path / f"{prefix}0123456789abcdee.tmp").mkdir()
    old.save(path)
    left = {file.name for file in tmp_path.iterdir()}
    assert left == {"net.npz", *keep, f"{prefix}0123456789abcdee.tmp"}


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


@posix
@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077, 0])
def test_a_new_files_permissions(path, old, mask):
    previous = os.umask(mask)
    try:
        old.save(path)
        (path.parent / "plain").touch()
    finally:
        os.umask(previous)
    assert mode_of(path) == mode_of(path.parent / "plain") == 0o666 & ~mask


@posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666, 0o755])
def test_an_old_files_permissions_stay(path, old, new, mode):
    old.save(path)
    path.chmod(mode)
    new.save(path)
    assert mode_of(path) == mode
    assert_same_bits(pynn.load(path), new)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs root")
def test_root_keeps_the_owner(path, old, new):
    old.save(path)
    os.chown(path, 1234, 4321)
    new.save(path)
    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 4321)


@posix
def test_symbolic_links_are_followed(path, old, new):
    folder = path.parent / "elsewhere"
    folder.mkdir()
    target = folder / f"target{path.suffix}"
    old.save(target)
    path.symlink_to(target)
    new.save(path)
    assert path.is_symlink()
    assert not target.is_symlink()
    assert_same_bits(pynn.load(target), new)
    assert list(folder.iterdir()) == [target]
    target.unlink()  # a link to nothing yet
    old.save(path)
    assert_same_bits(pynn.load(target), old)


def test_missing_folder(tmp_path, old):
    path = tmp_path / "missing" / "net.npz"
    with pytest.raises(FileNotFoundError) as caught:
        old.save(path)
    assert caught.value.filename == str(path)
    assert list(tmp_path.iterdir()) == []


def test_folders_and_devices(tmp_path, old):
    (tmp_path / "net.npz").mkdir()
    with pytest.raises(IsADirectoryError, match=r"net\.npz"):
        old.save(tmp_path / "net.npz")
    if os.path.exists("/dev/null"):
        (tmp_path / "null.npz").symlink_to("/dev/null")
        with pytest.raises(ValueError, match="is not a regular file"):
            old.save(tmp_path / "null.npz")
        assert not os.path.isfile("/dev/null")


NOBODY = """
import io, os, sys, pynn
net = pynn.MLP([3, 2])
net.save(io.BytesIO())  # imports all it needs
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
for path in sys.argv[1:]:
    try:
        net.save(path)
    except PermissionError as error:
        assert error.filename == path
        print("refused")
"""


@posix
def test_without_permission(old):
    """A file that `open` could not write to is not replaced either; nor is a folder written to."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        folder.chmod(0o777)
        (folder / "locked").mkdir(mode=0o555)
        path = folder / "net.npz"
        old.save(path)
        path.chmod(0o444)
        paths = path, folder / "locked" / "net.npz"
        assert run_python(NOBODY, "/", *paths).split() == ["refused"] * 2
        assert_same_bits(pynn.load(path), old)
        assert {file.name for file in folder.iterdir()} == {"net.npz", "locked"}
