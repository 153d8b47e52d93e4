"""Each attribute of a pool has a test of its effect on real processes, or is said to have none.

Whoever gives an attribute its effect takes `noEffect` from the schema and adds a line here.
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from was.config.model import AppPool
from was.config.parse import parse
from was.config.schema import AttributeSchema, ElementSchema, build_schema

ROOT = Path(__file__).resolve().parents[3]

START = "process/test_pool_attributes_start.py"
FAILURE = "process/test_pool_attributes_failure.py"
RECYCLING = "process/test_pool_attributes_recycling.py"
CPU = "process/test_pool_attributes_cpu.py"
REQUESTS = "process/test_pool_attributes_requests.py"
IDLE = "process/test_pool_attributes_idle.py"
ISOLATION = "process/test_pool_attributes_isolation.py"
IDENTITY = "process/test_isolation.py"
GROUPS = "unit/manager/test_group_membership.py"  # no test may make a group on the machine
ASGI = "end_to_end/test_asgi.py"
LADDER = "process/test_time_limit_ladder.py"
INTERPRETERS = "process/test_interpreters.py"

# attribute -> (file, test); `name` is what every test goes by.
TESTS = {
    "name": (FAILURE, "test_orphan_worker_process"),
    "queueLength": (START, "test_queue_length"),
    "autoStart": (START, "test_auto_start"),
    "startMode": (START, "test_start_mode"),
    "enableConfigurationOverride": (REQUESTS, "test_enable_configuration_override"),
    "processModel/identityType": (IDENTITY, "test_local_system_keeps_everything"),
    "processModel/userName": (IDENTITY, "test_a_specific_user_is_who_the_worker_is"),
    "processModel/setProfileEnvironment": (ISOLATION, "test_set_profile_environment"),
    "processModel/manualGroupMembership": (GROUPS, "test_manual_group_membership"),
    "processModel/idleTimeout": (IDLE, "test_idle_timeout_with_terminate"),
    "processModel/idleTimeoutAction": (IDLE, "test_idle_timeout_with_suspend"),
    "processModel/logEventOnProcessModel": (IDLE, "test_idle_timeout_with_terminate"),
    "processModel/maxProcesses": (START, "test_a_web_garden_grows_with_its_backlog"),
    "processModel/shutdownTimeLimit": (FAILURE, "test_shutdown_time_limit"),
    "processModel/startupTimeLimit": (FAILURE, "test_startup_time_limit"),
    "processModel/pingingEnabled": (FAILURE, "test_pinging_enabled"),
    "processModel/pingInterval": (FAILURE, "test_ping_times"),
    "processModel/pingResponseTime": (FAILURE, "test_ping_times"),
    "recycling/disallowOverlappingRotation": (RECYCLING, "test_disallow_overlapping_rotation"),
    "recycling/disallowRotationOnConfigChange": (
        RECYCLING,
        "test_disallow_rotation_on_config_change",
    ),
    "recycling/logEventOnRecycle": (RECYCLING, "test_log_event_on_recycle"),
    "recycling/periodicRestart/memory": (RECYCLING, "test_periodic_restart"),
    "recycling/periodicRestart/privateMemory": (RECYCLING, "test_periodic_restart"),
    "recycling/periodicRestart/requests": (RECYCLING, "test_periodic_restart"),
    "recycling/periodicRestart/time": (RECYCLING, "test_periodic_restart"),
    "recycling/periodicRestart/schedule/add/value": (RECYCLING, "test_periodic_restart"),
    "failure/loadBalancerCapabilities": (FAILURE, "test_load_balancer_capabilities"),
    "failure/orphanWorkerProcess": (FAILURE, "test_orphan_worker_process"),
    "failure/orphanActionExe": (FAILURE, "test_orphan_action"),
    "failure/orphanActionParams": (FAILURE, "test_orphan_action"),
    "failure/rapidFailProtection": (
        FAILURE,
        "test_without_rapid_fail_protection_workers_are_replaced_for_ever",
    ),
    "failure/rapidFailProtectionInterval": (FAILURE, "test_rapid_fail_protection_interval"),
    "failure/rapidFailProtectionMaxCrashes": (FAILURE, "test_rapid_fail_protection_max_crashes"),
    "failure/rapidFailProtectionRetry": (FAILURE, "test_rapid_fail_protection_retry"),
    "failure/autoShutdownExe": (FAILURE, "test_auto_shutdown"),
    "failure/autoShutdownParams": (FAILURE, "test_auto_shutdown"),
    "cpu/limit": (CPU, "test_limit_zero_is_no_limit"),
    "cpu/action": (CPU, "test_kill_w3wp"),
    "cpu/resetInterval": (CPU, "test_reset_interval"),
    "cpu/smpAffinitized": (CPU, "test_smp_affinitized"),
    "cpu/smpProcessorAffinityMask": (CPU, "test_smp_affinitized"),
    "cpu/smpProcessorAffinityMask2": (CPU, "test_a_mask_without_a_processor_is_an_event"),
    "environmentVariables/add/name": (REQUESTS, "test_environment_variables"),
    "environmentVariables/add/value": (REQUESTS, "test_environment_variables"),
    "requests/timeLimit": (
        LADDER,
        "test_a_request_that_loops_is_interrupted_and_its_worker_replaced",
    ),
    "requests/idleTimeLimit": (LADDER, "test_silence_after_the_first_byte_cuts_the_response"),
    "requests/queueTimeLimit": (REQUESTS, "test_queue_time_limit"),
    "requests/replay": (REQUESTS, "test_replay"),
    "requests/maxReplays": (REQUESTS, "test_max_replays_and_poison_crashes"),
    "requests/poisonCrashes": (REQUESTS, "test_max_replays_and_poison_crashes"),
    "requests/bodySpool": (REQUESTS, "test_body_spool"),
    "requests/maxSpool": (REQUESTS, "test_streaming_and_max_spool"),
    "requests/responseSpool": (REQUESTS, "test_response_spool"),
    "requests/streaming": (REQUESTS, "test_streaming_and_max_spool"),
    "python/virtualEnvironment": (INTERPRETERS, "test_virtual_environment"),
    "python/interpreter": (INTERPRETERS, "test_interpreter"),
    "python/threads": (REQUESTS, "test_threads"),
    "python/concurrency": (ASGI, "test_concurrency"),
    "isolation/sandbox": (ISOLATION, "test_sandbox"),
    "isolation/readable": (ISOLATION, "test_readable"),
    "isolation/writable": (ISOLATION, "test_writable"),
    "isolation/bindPorts": (ISOLATION, "test_bind_ports"),
    "isolation/connectPorts": (IDENTITY, "test_ports_are_closed_where_it_is_asked_for"),
    "isolation/maxTasks": (ISOLATION, "test_limits_of_the_kernel"),
    "isolation/maxCoreSize": (ISOLATION, "test_limits_of_the_kernel"),
    "isolation/maxMemory": (IDENTITY, "test_limits_umask_and_groups_are_taken"),
    "isolation/maxOpenFiles": (IDENTITY, "test_limits_umask_and_groups_are_taken"),
    "isolation/umask": (IDENTITY, "test_limits_umask_and_groups_are_taken"),
    "isolation/supplementaryGroups": (IDENTITY, "test_limits_umask_and_groups_are_taken"),
    "python/reloadOnChange": (RECYCLING, "test_changed_files_of_the_application"),
}


def attributes_of(
    element: ElementSchema, prefix: str = ""
) -> Iterator[tuple[str, AttributeSchema]]:
    """(path, attribute), those of the elements below too."""
    for name, attribute in element.attributes.items():
        yield prefix + name, attribute
    for name, child in element.elements.items():
        assert not child.no_effect, "the attributes of a pool are marked one by one"
        yield from attributes_of(child, f"{prefix}{name}/")
    if element.collection is not None:
        yield from attributes_of(element.collection.item, f"{prefix}{element.collection.add[0]}/")


def pool_attributes() -> dict[str, AttributeSchema]:
    """Every attribute below applicationPools/add."""
    files = sorted((ROOT / "config" / "schema").glob("*_schema.xml"))
    schema = build_schema(parse(file.read_bytes(), file.name) for file in files)
    collection = schema["system.applicationHost/applicationPools"].collection
    assert collection is not None
    return dict(attributes_of(collection.item))


ATTRIBUTES = pool_attributes()
WITHOUT_EFFECT = {path for path, attribute in ATTRIBUTES.items() if attribute.no_effect}


def another_value(attribute: AttributeSchema) -> str:
    """A value that is not the default."""
    if attribute.type == "flags":
        return ""
    if attribute.choices:
        return next(name for name in attribute.choices if name != attribute.default)
    if attribute.type == "bool":
        return "false" if attribute.default == "true" else "true"
    return "7" if attribute.type in ("int", "uint", "int64") else "other"


@cache
def functions_of(file: str) -> frozenset[str]:
    """The test functions of a file below tests/."""
    tree = ast.parse((ROOT / "tests" / file).read_text())
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def test_every_attribute_has_an_effect_or_is_said_to_have_none():
    """The table above and the schema's `noEffect` share out all attributes between them."""
    effective = ATTRIBUTES.keys() - WITHOUT_EFFECT
    assert effective - TESTS.keys() == set(), "neither tested nor said to have no effect"
    assert TESTS.keys() - effective == set(), "said to have no effect, or not there"


@pytest.mark.parametrize("path", sorted(WITHOUT_EFFECT))
def test_what_has_no_effect_is_said(home, path):
    """`was config validate` names it once it is set to something else than its default."""
    element, _, name = path.rpartition("/")
    setting = f'{name}="{another_value(ATTRIBUTES[path])}"'
    pool = (
        f'<add name="p"><{element} {setting} /></add>' if element else f'<add name="p" {setting} />'
    )
    warnings = home.server(pools=pool).config.warnings
    said = f"{element or 'add'}/@{name}: no effect here"
    assert said in [warning.partition(": ")[2] for warning in warnings]


# Those that IIS does not have; tests/unit/config/schema_facts.txt has the others.
DEFAULTS_OF_OURS = {
    "requests/timeLimit": "00:01:50",
    "requests/idleTimeLimit": "00:00:00",
    "requests/queueTimeLimit": "00:00:30",
    "requests/replay": "safe",
    "requests/maxReplays": "1",
    "requests/poisonCrashes": "2",
    "requests/commitBuffer": "65536",
    "requests/bodySpool": "65536",
    "requests/maxSpool": "1073741824",
    "requests/responseSpool": "262144",
    "requests/streaming": "false",
    "failure/rapidFailProtectionRetry": "00:00:00",
    "python/virtualEnvironment": "",
    "python/interpreter": "",
    "python/threads": "32",
    "python/concurrency": "256",
    "python/reloadOnChange": "false",
    "isolation/sandbox": "true",
    "isolation/writable": "",
    "isolation/readable": "",
    "isolation/supplementaryGroups": "",
    "isolation/umask": "",
    "isolation/maxTasks": "4096",
    "isolation/maxOpenFiles": "65536",
    "isolation/maxMemory": "0",
    "isolation/maxCoreSize": "0",
    "isolation/connectPorts": "*",
    "isolation/bindPorts": "*",
}


def test_defaults_of_what_is_ours():
    """What people leave out is what was promised to them."""
    ours = {"requests", "python", "isolation"}
    found = {
        path: attribute.default
        for path, attribute in ATTRIBUTES.items()
        if path.split("/")[0] in ours or path in DEFAULTS_OF_OURS
    }
    assert found == DEFAULTS_OF_OURS


def test_limits_of_the_server_that_are_ours(home):
    """Without a manager all goes on for five minutes; CPU limits are the kernel's."""
    limits = home.server().config.web_limits
    assert (limits.managerless_limit_s, limits.control_groups) == (300.0, True)


def test_a_pool_of_which_only_the_name_is_said(home):
    """The model's defaults, which processes and tests are made with, are those of the schema."""
    pool = home.server(pools='<add name="p" />').config.app_pools["p"]
    assert pool == AppPool(name="p")


@pytest.mark.parametrize("path", sorted(TESTS))
def test_the_tests_of_the_table_are_there(path):
    """A test that is renamed takes its line with it."""
    file, name = TESTS[path]
    assert name in functions_of(file)
