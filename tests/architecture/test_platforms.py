"""What only some systems have is asked for before it is used.

macOS and Windows are not tried here: this reads the source for what would fail there.
"""

import ast

import pytest

from tests.architecture.repository import PACKAGE, ROOT, modules, tracked_files

SOME_MODULES = (
    "_winapi crypt fcntl grp msvcrt nis nt posix pty pwd readline resource spwd syslog termios tty"
    " winreg winsound"
)
OS = (
    "O_CLOEXEC O_DIRECTORY O_NOFOLLOW chown fchmod fchown fork forkpty getegid geteuid getgid"
    " getloadavg getpgid getuid killpg lchown memfd_create mkfifo mknod nice openpty"
    " pidfd_open posix_fadvise posix_fallocate posix_spawn pread pwrite sched_getaffinity"
    " sched_setaffinity sendfile setpgid setsid startfile statvfs sync uname wait waitid"
)
SIGNAL = "SIGALRM SIGHUP SIGKILL SIGQUIT SIGUSR1 SIGUSR2 alarm pause setitimer"
SOCKET = "AF_UNIX SO_REUSEADDR SO_REUSEPORT"
SOME_SYSTEMS = {"os": OS.split(), "signal": SIGNAL.split(), "socket": SOCKET.split()}
OF_ONE_SYSTEM = ("/dev/", "/etc/", "/home/", "/proc/", "/run/", "/sys/", "/tmp/", "/usr/", "/var/")
ASKED_BY = ("sys.platform", "os.name", "hasattr(os", "hasattr(signal", ".is_file()")
RESERVED = {
    "con",
    "prn",
    "aux",
    "nul",
    *(f"{port}{n}" for port in ("com", "lpt") for n in range(10)),
}


def use_of_one_system(node):
    """What a node uses that not every system has; None if nothing."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        names = (
            [each.name for each in node.names] if isinstance(node, ast.Import) else [node.module]
        )
        used = {str(name).partition(".")[0] for name in names} & set(SOME_MODULES.split())
        return f"import {min(used)}" if used else None
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        some = SOME_SYSTEMS.get(node.value.id, ())
        return f"{node.value.id}.{node.attr}" if node.attr in some else None
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        is_path = node.value.startswith(OF_ONE_SYSTEM) and " " not in node.value
        return repr(node.value) if is_path else None
    return None


def unasked(tree):
    """Uses outside a function, or in one that does not ask which system it is on."""
    functions = [
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    asking = {
        id(node)
        for function in functions
        if any(word in ast.unparse(function) for word in ASKED_BY)
        for node in ast.walk(function)
    }
    return [
        f"line {node.lineno}: {use}"
        for node in ast.walk(tree)
        if id(node) not in asking and (use := use_of_one_system(node))
    ]


def of_the_locale(tree):
    """Files that are read or written as text in whatever encoding the system prefers."""
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        function, named = node.func, {keyword.arg for keyword in node.keywords}
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        position = {"read_text": 0, "write_text": 1}.get(name)
        if position is not None and len(node.args) <= position and "encoding" not in named:
            found.append(f"line {node.lineno}: {name}")
    return found


@pytest.mark.parametrize("name", modules())
def test_a_module_asks_before_it_uses_what_not_every_system_has(name):
    assert unasked(modules()[name]) == []


@pytest.mark.parametrize("name", modules())
def test_text_is_utf8_whatever_the_system_prefers(name):
    found = of_the_locale(modules()[name])
    assert found == [], f"{PACKAGE / name}: give an encoding"


@pytest.mark.parametrize(
    "source",
    [
        "import fcntl",
        "import msvcrt",
        "from resource import getrusage",
        "import os\ndef cores():\n    return len(os.sched_getaffinity(0))",
        "STATUS = '/proc/self/status'",
    ],
)
def test_what_only_some_systems_have_is_found(source):
    assert unasked(ast.parse(source))


def test_asking_is_enough():
    source = "def cores():\n    return os.fork() if hasattr(os, 'fork') else None"
    assert unasked(ast.parse(source)) == []
    assert of_the_locale(ast.parse("path.read_text()")) == ["line 1: read_text"]
    assert of_the_locale(ast.parse("path.write_text(text, 'utf-8')")) == []


def test_every_file_can_be_checked_out_everywhere():
    """Windows has no colons in names and some names not at all; macOS and it ignore case."""
    names = [path.relative_to(ROOT).as_posix() for path in tracked_files()]
    parts = {part for name in names for part in name.split("/")}
    assert not [part for part in parts if set(part) & set('<>:"\\|?*') or part[-1] in ". "]
    assert not [part for part in parts if part.partition(".")[0].lower() in RESERVED]
    assert len({name.lower() for name in names}) == len(names)
    assert max(map(len, names)) < 160
