"""The sensor keeps its settings, whenever the power goes while they are converted."""

import pytest

LINE = r"sensor(.*)\r\n"
"""What the sensor says when it knows its settings, or that it has none."""
RUNS = " 4711: every 300 s"


def operations(device, session):
    """Flash operations of a power session, from 1."""
    return device.flash.model.log.operations(session)


def test_settings_are_converted_once(device):
    device.power_on()
    assert device.wait_for_line(LINE)[1] == RUNS
    assert operations(device, 1)

    device.power_cycle()
    assert device.wait_for_line(LINE)[1] == RUNS
    assert not operations(device, 2)


@pytest.mark.power_cut("op=3/torn")
def test_settings_survive_a_cut_while_they_are_written(device):
    device.power_on()
    device.wait_for_cut()

    device.power_on()
    assert device.wait_for_line(LINE)[1] == RUNS


@pytest.mark.power_cut("op=7/torn/only_last_word", "op=1/after")
def test_settings_survive_a_cut_of_the_recovery(device):
    for _ in range(2):
        device.power_on()
        device.wait_for_cut(timeout=5)

    device.power_on()
    assert device.wait_for_line(LINE)[1] == RUNS


@pytest.mark.power_cut_sweep
def test_settings_survive_every_cut(power_cut):
    assert power_cut.recover().verdict == "converted"
