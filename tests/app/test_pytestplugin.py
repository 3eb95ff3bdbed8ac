"""The fixtures of the pytest plugin, in runs of pytest as users have them: each test has its project."""

from __future__ import annotations

import pytest

pytest_plugins = ("pytester",)

ISOLATED = """
import boto3
import pytest

SEEN = set()

@pytest.mark.parametrize("number", range(4))
def test_a_test_begins_with_nothing(pileus_cloud, number):
    # The code under test makes its clients by itself, the test by the fixture.
    ec2 = boto3.client("ec2")
    assert ec2.describe_instances()["Reservations"] == []
    image = ec2.describe_images()["Images"][0]["ImageId"]
    ec2.run_instances(ImageId=image, InstanceType="t2.micro", MinCount=1, MaxCount=1)
    assert len(pileus_cloud.client("ec2").describe_instances()["Reservations"]) == 1
    account = boto3.client("sts").get_caller_identity()["Account"]
    assert account not in SEEN
    SEEN.add(account)

def test_the_session_has_one_cloud(pileus_cloud, pileus_session_cloud):
    assert pileus_session_cloud.provider == "stub"
    assert pileus_session_cloud.account.endpoint == pileus_cloud.endpoint
    print("STATE", pileus_session_cloud.state)
"""


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep options for this project's own tests away from the runs."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)


def run(pytester: pytest.Pytester, *words: str) -> pytest.RunResult:
    """Run pytest in a process of its own, in the order of the file."""
    return pytester.runpytest_subprocess("-p", "no:randomly", "-p", "no:cacheprovider", *words)


def test_each_test_has_a_project_that_the_environment_leads_to(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(ISOLATED)
    result = run(pytester, "-s")
    result.assert_outcomes(passed=5)
    (state,) = [line.split()[-1] for line in result.outlines if "STATE" in line]
    assert not pytester.path.joinpath(state).exists()


def test_workers_have_clouds_of_their_own(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(ISOLATED)
    run(pytester, "-n", "2").assert_outcomes(passed=5)


def test_the_environment_is_as_before_after_the_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import os
        import boto3

        def test_with(pileus_cloud):
            assert os.environ["AWS_ACCESS_KEY_ID"] == pileus_cloud.access_key
            assert "AWS_PROFILE" not in os.environ

        def test_without():
            assert os.environ["AWS_PROFILE"] == "production"
            assert "AWS_ACCESS_KEY_ID" not in os.environ
            assert boto3.DEFAULT_SESSION is None
        """
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_PROFILE", "production")
        run(pytester).assert_outcomes(passed=2)


def test_a_provider_that_there_is_not_fails_in_one_line(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(pileus_cloud): ...\n")
    result = run(pytester, "--pileus-provider", "cloudy")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["pileus: There is no provider 'cloudy'; there are *"])
    result.stdout.no_fnmatch_line("*Traceback*")
