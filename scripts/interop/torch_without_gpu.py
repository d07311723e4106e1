"""Makes the PyTorch of this environment one for the processor alone: 2 GB on disk instead of 7.

PyPI's only build for Linux on x86-64 is linked against a dozen of NVIDIA's libraries, 5 GB of them, and asks pip for all.
Nothing of them is called where there is no GPU, but the loader wants every name. Here each library is replaced by one
that has the names and ends the process if one is called. To be run after `pip install --no-deps torch`; the two of them
that are called at import are left for pip to fetch, in the versions that torch asks for.

Needs a C compiler and binutils, which a build of converge needs as well.
"""

import collections
import pathlib
import re
import subprocess
import sysconfig

OF_NVIDIA = re.compile(r"lib(cu|nccl|nvshmem)")
# Called at import; and the driver's own, which nothing that is loaded here asks for.
KEPT = re.compile(r"lib(cudart|cupti|cuda)\.")
REQUIRED = re.compile(r"Requires-Dist: (triton|nvidia-(?!cuda-(runtime|cupti)-))")
# Names without a version do not say which library has them.
WITHOUT_VERSION = {"nccl": "libnccl.so.2", "cusparseLt": "libcusparseLt.so.0", "cuFile": "libcufile.so.0"}

site = pathlib.Path(sysconfig.get_path("purelib"))
libraries = site / "torch" / "lib"
# Names by library and version; None stands for no version.
wanted: dict[str, dict[str | None, set[str]]] = collections.defaultdict(lambda: collections.defaultdict(set))


def words_of(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def read(library: pathlib.Path) -> None:
    """Adds what `library` asks of NVIDIA's."""
    headers = words_of("objdump", "-p", str(library))
    for needed in re.findall(r"NEEDED\s+(\S+)", headers):
        if OF_NVIDIA.match(needed) and not KEPT.match(needed) and not (libraries / needed).exists():
            wanted[needed]  # Also where none of its names is found: the loader asks for the file.
    home_of = {}
    for home, versions in re.findall(r"required from (\S+):\n((?:\s+0x.*\n)+)", headers):
        for version in re.findall(r"(\S+)\n", versions):
            home_of[version] = home
    for line in words_of("nm", "-D", "--undefined-only", str(library)).splitlines():
        name, _, version = line.split()[-1].partition("@")
        homes = [home_of.get(version)] if version else [h for b, h in WITHOUT_VERSION.items() if name.startswith(b)]
        for home in homes:
            if home in wanted:
                wanted[home][version or None].add(name)


def build(library: str) -> None:
    """Compiles the library that has the names wanted of `library`."""
    source, versions = "", ""
    for version, names in wanted[library].items():
        source += "".join(f"void {name}(void) {{ __builtin_trap(); }}\n" for name in sorted(names))
        if version:
            versions += f"{version} {{ global: {''.join(f'{name}; ' for name in sorted(names))} }};\n"
    command = ["cc", "-shared", "-fPIC", "-w", "-x", "c", "-", f"-Wl,-soname,{library}", "-o", str(libraries / library)]
    script = libraries / f"{library}.versions"
    if versions:
        script.write_text(versions)
        command.append(f"-Wl,--version-script={script}")
    subprocess.run(command, input=source, text=True, check=True)
    script.unlink(missing_ok=True)


def main() -> None:
    for library in sorted(libraries.glob("lib*.so")):
        read(library)
    for library in wanted:
        build(library)
    # Otherwise pip fetches them with whatever is installed next.
    for metadata in site.glob("torch-*.dist-info/METADATA"):
        lines = metadata.read_text().splitlines(keepends=True)
        metadata.write_text("".join(line for line in lines if not REQUIRED.match(line)))


main()
