"""What `was chaos` says when its harm has had consequences."""


def test_a_pool_that_the_deaths_have_stopped_is_named(home, manager, run):
    """Rapid-fail protection counts them: who wonders why nobody is there reads how to go on."""
    home.config_file.parent.mkdir(parents=True)
    home.config_file.with_name("chaos.enabled").touch()
    rows = [{"name": "Shop", "state": "stopped"}, {"name": "Blog", "state": "started"}]
    manager.answers["list"] = {"ok": True, "result": rows}
    result = run("chaos", "kill", "--rate", "1", "--for", "1s")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "kill: 0 workers; once none was there",
        "Shop is stopped: `was start apppool Shop` starts it again",
    ]
