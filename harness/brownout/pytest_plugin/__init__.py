"""pytest plugin: emulated boards as fixtures, power cuts as markers (docs/pytest.md).

@pytest.mark.power_cut_sweep(target="target.toml", points=20)
def test_survives(power_cut):
    assert power_cut.recover().verdict in ("old", "new")

Every test session of an environment with brownout loads this module, so it imports the harness when a test
asks for it, not before.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from brownout.pytest_plugin.failures import collecting, end_in_the_test, running
from brownout.pytest_plugin.keeping import Keeper, drop_keeper, existing_keeper, keeper_of
from brownout.pytest_plugin.options import (
    CUT_MARKER,
    ENGINES,
    MARKER,
    MARKERS,
    SWEEP_MARKER,
    OptionError,
    Settings,
    add_options,
    artifacts_folder,
    base_settings,
    check_config,
    cut_texts,
    power_cut_sweep,
    settings_of,
    sweep_settings,
)
from brownout.pytest_plugin.power_cuts import CutSchedule, PowerCut

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from brownout.board import Board
    from brownout.device import Device
    from brownout.lab import Lab
    from brownout.pytest_plugin.debugging import DebugSession

__all__ = ["ENGINES", "PowerCut", "power_cut_sweep"]

# -- hooks -------------------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options and ini keys."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Markers; what cannot be is a usage error before anything is collected."""
    for marker, text in MARKERS.items():
        config.addinivalue_line("markers", f"{marker}: {text}")
    try:
        check_config(config)
    except OptionError as error:
        raise pytest.UsageError(f"brownout: {error}") from None


def pytest_report_header(config: pytest.Config) -> str | None:
    """What was asked for, if anything was."""
    base = base_settings(config)
    said = {"target": base.target, "board": base.board, "engine": base.engine, "seed": base.seed}
    words = [f"{name} {value}" for name, value in said.items() if value not in (None, "")]
    return f"brownout: {', '.join(words)}" if words else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Check the markers of a test, and make it once for each cut of its sweep."""
    item = metafunc.definition
    wants_cut = "power_cut" in metafunc.fixturenames
    has_sweep = item.get_closest_marker(SWEEP_MARKER) is not None
    with collecting():
        if item.get_closest_marker(MARKER) is not None:
            settings_of(item, metafunc.config)
        cuts = cut_texts(item)
        if cuts:
            from brownout.pytest_plugin.planning import check_cuts

            check_cuts(cuts)
            if "device" not in metafunc.fixturenames:
                raise OptionError(f"{CUT_MARKER}: the test takes no `device`, whose power could be cut")
        if has_sweep and not wants_cut:
            raise OptionError(
                f"{SWEEP_MARKER}: the test takes no `power_cut`: it would be the same each time"
            )
        if not has_sweep:
            return
        sweep = sweep_settings(item, metafunc.config)
        from brownout.pytest_plugin.planning import cut_id, planned_cuts

        found = planned_cuts(sweep)
    if isinstance(found, str):
        # A test that fails, not a collection error: the firmware is at fault, and the other tests can run.
        metafunc.parametrize("power_cut", [found], ids=["without-a-cut"], indirect=True)
        return
    metafunc.parametrize(
        "power_cut", [(cut, sweep) for cut in found], ids=[cut_id(cut) for cut in found], indirect=True
    )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Nothing is left of an earlier run."""
    drop_keeper(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """After the body: every armed cut has fired, the firmware broke no rule of the flash."""
    try:
        result = yield
    except BaseException as error:
        end_in_the_test(error)
        raise
    keeper = existing_keeper(item)
    if keeper is not None:
        with running():
            for schedule in keeper.schedules:
                schedule.raise_for_missing()
            for check in keeper.checks:
                check()
    return result


# First, so that it sees what the other plugins have made of the outcome: an xfail is no failure.
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test keeps its evidence and says where."""
    report = yield
    keeper = existing_keeper(item)
    if keeper is not None:
        keeper.report(report)
    return report


# -- fixtures ----------------------------------------------------------------------------------------------


@pytest.fixture
def board(request: pytest.FixtureRequest) -> Board:
    """The board (brownout.board.Board) of the test's target, or the one that is asked for by name."""
    with running():
        from brownout.pytest_plugin.devices import board_of

        return board_of(_settings(request))


@pytest.fixture
def device(request: pytest.FixtureRequest) -> Iterator[Device]:
    """A device (brownout.device.Device) without power that holds what the test's target places in it.

    In a test that takes `server` as well, it is the server's device dev-1.
    """
    settings = _settings(request)
    keeper = _keeper(request)
    with contextlib.ExitStack() as stack:
        with running():
            from brownout.pytest_plugin.devices import KeptDevice, check_device, make_device

            if "server" in request.fixturenames:
                from brownout.pytest_plugin.labs import unit_of

                made = unit_of(request.getfixturevalue("server")).device
                settings = replace(settings, target=None)
            else:
                made = stack.enter_context(make_device(settings))
                keeper.add(KeptDevice(made, "device"))
        schedule = CutSchedule(made, cut_texts(request.node))
        schedule.attach()
        keeper.schedules.append(schedule)
        if settings.check:
            keeper.checks.append(lambda: check_device(made, settings))
        yield made


@pytest.fixture
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab (brownout.lab.Lab): an upgrade server with release 1 of the reference firmware."""
    settings = _settings(request)
    with contextlib.ExitStack() as stack:
        with running():
            from brownout.pytest_plugin.labs import KeptLab, make_lab

            made = stack.enter_context(make_lab(settings, tmp_path_factory.mktemp("brownout-lab")))
            _keeper(request).add(KeptLab(made, request.node))
        yield made


@pytest.fixture
def debug_session(request: pytest.FixtureRequest, server: Lab) -> Iterator[DebugSession]:
    """A debug session with the app of the server's device dev-1, which is booted first."""
    with contextlib.ExitStack() as stack:
        with running():
            from brownout.pytest_plugin.labs import open_debug_session

            made = stack.enter_context(open_debug_session(server))
        yield made


@pytest.fixture
def power_cut(request: pytest.FixtureRequest) -> PowerCut:
    """One cut of the sweep that @pytest.mark.power_cut_sweep asks for: call its recover()."""
    if not hasattr(request, "param"):
        pytest.fail(
            f"brownout: power_cut: expected @pytest.mark.{SWEEP_MARKER}(...), which says which cuts",
            pytrace=False,
        )
    if isinstance(request.param, str):
        pytest.fail(f"brownout: {request.param}", pytrace=False)
    planned, sweep = request.param
    with running():
        from brownout.pytest_plugin.planning import KeptRecovery, target_at

        target = target_at(sweep.target)
        made = PowerCut(planned, target, sweep)
        _keeper(request).add(KeptRecovery(made))
    _keeper(request).checks.append(made.raise_for_unused)
    return made


# -- inside ------------------------------------------------------------------------------------------------


def _settings(request: pytest.FixtureRequest) -> Settings:
    with running():
        return settings_of(request.node, request.config)


def _keeper(request: pytest.FixtureRequest) -> Keeper:
    return keeper_of(request.node, artifacts_folder(request.config))
