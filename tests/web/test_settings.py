import pytest

from live.settings import SECRETS, BadSettings, Settings, leaves, load, values, variable


def test_nothing_set_gives_the_defaults():
    assert load({}) == Settings()


def test_the_environment_wins_over_the_file_and_a_flag_over_both(tmp_path):
    path = tmp_path / "madoi.toml"
    path.write_text('port = 1000\nhost = "0.0.0.0"\n[media]\nport = 1001\naddresses = ["192.0.2.1"]\n')
    settings = load({"MADOI_CONFIG": str(path), "MADOI_MEDIA_PORT": "2001", "MADOI_PORT": "2000"}, port=3000)
    assert (settings.port, settings.host, settings.media.port) == (3000, "0.0.0.0", 2001)
    assert settings.media.addresses == ("192.0.2.1",)


def test_a_secret_may_come_from_a_file(tmp_path):
    path = tmp_path / "token"
    path.write_text("s3cret\n")
    assert load({"MADOI_ORGANISER_TOKEN_FILE": str(path)}).organiser_token == "s3cret"


def test_lists_are_separated_by_commas():
    urls = load({"MADOI_TURN_URLS": "turn:a:3478, turns:b:5349"}).turn.urls
    assert urls == ("turn:a:3478", "turns:b:5349")


@pytest.mark.parametrize(
    "environ",
    [
        {"MADOI_PROT": "1"},
        {"MADOI_PORT": "many"},
        {"MADOI_PORT": "70000"},
        {"MADOI_LOG": "loud"},
        {"MADOI_ORGANISER_TOKEN_FILE": "/nowhere"},
        {"MADOI_CONFIG": "/nowhere.toml"},
    ],
)
def test_a_wrong_setting_is_an_error_that_names_it(environ):
    with pytest.raises(BadSettings):
        load(environ)


@pytest.mark.parametrize("text", ["prot = 1", "[media]\nprt = 1", "media = 1", "port = [", "port = 'x'"])
def test_a_wrong_key_in_the_file_is_an_error(tmp_path, text):
    path = tmp_path / "madoi.toml"
    path.write_text(text)
    with pytest.raises(BadSettings):
        load({"MADOI_MEDIA_PORT": "1"}, path)


def test_every_setting_has_its_words_and_its_own_variable():
    listed = list(leaves())
    assert all(says for _, _, says in listed)
    assert len({variable(key) for key, _, _ in listed}) == len(listed)
    assert {key for key, _, _ in listed} >= SECRETS


def test_secrets_are_not_printed():
    settings = load(
        {"MADOI_ORGANISER_TOKEN": "canary", "MADOI_STORE": "redis://:canary@r", "MADOI_TURN_SECRET": "canary"}
    )
    assert "canary" not in str(list(values(settings)))
