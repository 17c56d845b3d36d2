"""What can be made of a set of files of which some are missing.

A file that only a method refers to that nobody calls should not be needed. So what is made of missing files
is taken out, and told to be missing to those alone who ask for it.
"""

from collections.abc import Mapping

from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto, FileDescriptorSet

from amends._linking import STANDARD_FILES, by_name, missing
from amends_coordinator.descriptors.names import full_name, names_used, names_within

_STANDARD = ".google.protobuf."


def without_missing(files: FileDescriptorSet) -> tuple[FileDescriptorSet, Mapping[str, str]]:
    """Takes out of files what is made of files that are missing.

    Returns:
        The rest, and what was taken out: messages and enums by their full names, methods by SERVICE/METHOD,
        each with the reason.

    Raises:
        UnusableDescriptorsError: there are too many, two of one name differ, or one cannot be read.
    """
    there = by_name(files)
    whys = {
        file.name: missing(imported, file.name)
        for file in there.values()
        for imported in reversed(file.dependency)  # so that the first is told
        if imported not in there and imported not in STANDARD_FILES
    }
    if not whys:
        return files, {}
    rest = FileDescriptorSet(file=there.values())
    lacking = _lacking_types(rest, whys)
    for file in rest.file:
        lacking |= _take_out(file, lacking)
        imports = [name for name in file.dependency if name in there or name in STANDARD_FILES]
        for field in ("dependency", "public_dependency", "weak_dependency"):
            file.ClearField(field)
        file.dependency.extend(imports)
    return rest, {name.removeprefix("."): why for name, why in lacking.items()}


def _lacking_types(files: FileDescriptorSet, whys: Mapping[str, str]) -> dict[str, str]:
    """The types that are not there, and the messages that are made of them, with all that is within these."""
    within: dict[str, list[str]] = {}  # by the message at the top of a file: all names that it defines
    users: dict[str, list[str]] = {}  # by the name of a type: the messages at the top that are made of it
    reasons: dict[str, str] = {}  # by the name of a type: why it is not there, if it is not
    known: set[str] = set()
    some = next(iter(whys.values()))  # where a file uses what one of its imports imports publicly
    for file in files.file:
        why = whys.get(file.name, some)
        known |= {full_name(file, enum.name) for enum in file.enum_type}
        for message in file.message_type:
            top = full_name(file, message.name)
            within[top] = list(names_within(top, message))
            known.update(within[top])
            for used in names_used(message):
                users.setdefault(used, []).append(top)
                reasons[used] = why
        for service in file.service:
            for method in service.method:
                reasons[method.input_type] = reasons[method.output_type] = why
    lacking = {
        used: why
        for used, why in reasons.items()
        if used.startswith(".") and used not in known and not used.startswith(_STANDARD)
    }
    waiting = list(lacking)
    while waiting:
        name = waiting.pop()
        for top in users.get(name, ()):
            if top not in lacking:
                lacking |= dict.fromkeys(within[top], lacking[name])
                waiting += within[top]
    return lacking


def _take_out(file: FileDescriptorProto, lacking: Mapping[str, str]) -> dict[str, str]:
    """Takes lacking messages, and methods with them, out of a file. Returns these methods."""
    for number in reversed(range(len(file.message_type))):
        if full_name(file, file.message_type[number].name) in lacking:
            del file.message_type[number]
    without_extensions(file)
    found = {}
    for service in file.service:
        for number in reversed(range(len(service.method))):
            method = service.method[number]
            why = lacking.get(method.input_type) or lacking.get(method.output_type)
            if why is not None:
                found[f"{full_name(file, service.name)}/{method.name}"] = why
                del service.method[number]
    return found


def without_extensions(file: FileDescriptorProto | DescriptorProto) -> None:
    """Takes out the extensions that a file or a message declares: no message is made of them."""
    file.ClearField("extension")
    for message in file.message_type if isinstance(file, FileDescriptorProto) else file.nested_type:
        without_extensions(message)
