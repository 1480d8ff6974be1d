"""Paths, as they stand in a URL, with which people try to leave a folder, and to reach ``canary`` outside of it.

Written out by rule: each spelling of "up" with each spelling of the separator, at several depths, and what else has
been tried on servers: absolute paths, devices, streams beside files, overlong UTF-8, line ends, the server's own root.
"""

from itertools import product

UPS = (
    *("..", "%2e%2e", ".%2e", "%2E.", "%252e%252e", "%25252e%25252e", "%c0%ae%c0%ae", "%e0%80%ae%e0%80%ae"),
    *("%f0%80%80%ae%f0%80%80%ae", "%uff0e%uff0e", "%u002e%u002e", "..;", "..%00", "..%20", "..%09", ".%00.", "...."),
    *("%ef%bc%8e%ef%bc%8e", "%e2%80%a4%e2%80%a4", "%e2%80%a5", "..%0d%0a", "..::$DATA", "..%3b", "%80%ae%80%ae"),
)
SEPARATORS = (
    *("/", "%2f", "%2F", "%252f", "\\", "%5c", "%255c", "%c0%af", "%e0%80%af", "%c1%9c", "//", "/./", "%2f%2f"),
    *("%ef%bc%8f", "%e2%88%95", "%u2215", "/;/"),
)
FILES = ("canary", "canary%00.txt", "canary%20", "canary.", "CANARY")
ALONE = (
    *("/etc/passwd", "//etc/passwd", "%2fetc%2fpasswd", "file:///etc/passwd", "C:/Windows/win.ini", "c:%5cwindows"),
    *(
        "\\\\server\\share",
        "//server/share",
        "\\\\?\\C:\\x",
        "\\\\.\\C:",
        "/dev/zero",
        "/dev/stdin",
        "/proc/self/environ",
    ),
    *("/proc/self/root/etc/passwd", "/proc/self/cwd/canary", "~/canary", "~root/.ssh/id_rsa", "$HOME/canary"),
    *("nul", "con", "aux.txt", "COM1", "lpt1.log", "CONIN$", "a.txt::$DATA", "a.txt:canary", "a.txt%00", "a.txt/"),
    *("a.txt/../../canary", "a.txt/..", "a.txt.", "a.txt%20", ".env", ".git/config", ".htpasswd", "sub/.hidden"),
    *("link", "link/", "folder-link/canary", "folder-link%2fcanary", "chain", "sub/up/canary", "loop", "loop/loop"),
    *("pipe", "socket", "sub", "sub/", ".", "./", "", "%00", "%0a", "%", "%2", "%zz", "..", "../", "%2e", "%2e%2e"),
    *(
        "sub/../../canary",
        "sub/%2e%2e/%2e%2e/canary",
        "sub//..//..//canary",
        "....//....//canary",
        "..././..././canary",
    ),
    *("absolute-link", "hidden-link", "sub/deep-link", "?/../../canary", "a.txt;/../canary", "canary/../../canary"),
)


def _walks() -> list[str]:
    walks = [up + separator + FILES[0] for up, separator in product(UPS, SEPARATORS)]
    walks += [(up + "/") * depth + file for up, depth, file in product(UPS[:8], (1, 2, 8), FILES)]
    return [*walks, *("sub/" + walk for walk in walks[::7])]


TRAVERSALS = tuple(dict.fromkeys([*_walks(), *ALONE]))
