use super::pairs;
use crate::secrets::redact;
use serde_json::json;

/// A list of arguments with one text, without its secrets.
fn argument(text: &str) -> String {
    let mut pod = json!({"command": ["sh", "-c", text]});
    redact(&mut pod, &[]);
    pod["command"][2].as_str().expect("text").to_owned()
}

#[test]
fn values_of_options_within_a_command_of_a_shell_are_secret() {
    for (text, rest) in [
        (
            "python train.py --api-key 3f9a0c --password hunter2",
            "python train.py --api-key [redacted] --password [redacted]",
        ),
        (
            "a -password  x && b --auth-token\tz; c",
            "a -password  [redacted] && b --auth-token\t[redacted]; c",
        ),
        ("a --password \"two words\" --lr 1", "a --password \"[redacted]\" --lr 1"),
        ("a --password 'two words' --lr 1", "a --password '[redacted]' --lr 1"),
        ("a --password='two words' --lr 1", "a --password='[redacted]' --lr 1"),
        ("a --password=\"two \\\" words\" --lr 1", "a --password=\"[redacted]\" --lr 1"),
        ("a --password it\\'s", "a --password [redacted]"),
        ("a --password two\\ words b", "a --password [redacted] b"),
        ("a --password a'b c'd\"e f\" g", "a --password [redacted] g"),
        ("a --password 'b'\"c d\" e", "a --password [redacted] e"),
        ("a --password=b,c)d", "a --password=[redacted])d"),
        ("a --password \\\n   hunter2 \\\n --lr 1", "a --password \\\n   [redacted] \\\n --lr 1"),
        ("bash -c \"a --password hunter2\" b", "bash -c \"a --password [redacted]\" b"),
        ("bash -c 'a --password \"two words\"' b", "bash -c 'a --password \"[redacted]\"' b"),
        ("bash -c \"a --password \\\"two words\\\"\" b", "bash -c \"a --password \\\"[redacted]\\\"\" b"),
        ("bash -c 'a --password '\\''two words'\\'' b'", "bash -c 'a --password '\\''[redacted]'\\'' b'"),
        ("a | b --token x|c", "a | b --token [redacted]|c"),
        ("a --password '$2y$10$abc'", "a --password '[redacted]'"),
        ("a --password \"open", "a --password \"[redacted]"),
    ] {
        assert_eq!(argument(text), rest, "{text}");
        assert_eq!(argument(rest), rest, "once is enough");
    }
}

#[test]
fn what_follows_the_colon_of_a_secrets_name_is_secret() {
    for (text, rest) in [
        ("password: x", "password: [redacted]"),
        ("it has password: x and more", "it has password: [redacted] and more"),
        ("user: me\n- password: two words\nport: 1", "user: me\n- password: [redacted]\nport: 1"),
        ("Authorization: Basic dXNlcjpw", "Authorization: [redacted]"),
        ("curl -H \"Authorization: Basic dXNlcjpw\" u", "curl -H \"Authorization: [redacted]\" u"),
        (
            "curl -H 'Authorization: Digest username=\"me\", response=\"ab\"' u",
            "curl -H 'Authorization: [redacted]' u",
        ),
        ("curl -H 'X-Api-Key:abc' -H 'Accept: */*'", "curl -H 'X-Api-Key:[redacted]' -H 'Accept: */*'"),
        ("curl -H 'Cookie: a=b; c=d' u", "curl -H 'Cookie: [redacted]' u"),
        ("a --config={\"password\":\"x\",\"lr\":1}", "a --config={\"password\":\"[redacted]\",\"lr\":1}"),
        ("a --config '{\"password\": \"two words\"}' b", "a --config '{\"password\": \"[redacted]\"}' b"),
        ("a \"{\\\"password\\\":\\\"two words\\\"}\" b", "a \"{\\\"password\\\":\\\"[redacted]\\\"}\" b"),
        ("f({'password': 'x', 'lr': 1})", "f({'password': '[redacted]', 'lr': 1})"),
        ("{password: x, lr: 1}", "{password: [redacted], lr: 1}"),
    ] {
        assert_eq!(argument(text), rest, "{text}");
        assert_eq!(argument(rest), rest, "once is enough");
    }
}

#[test]
fn json_is_looked_through_behind_a_line_break_and_behind_an_option() {
    for (text, rest) in [
        (
            "\n  {\"password\":5,\"env\":[{\"name\":\"A_KEY\",\"value\":\"x\"}]}",
            "{\"password\":5,\"env\":[{\"name\":\"A_KEY\",\"value\":\"[redacted]\"}]}",
        ),
        (
            "--env=[{\"name\":\"A_KEY\",\"value\":\"x\"}]",
            "--env=[{\"name\":\"A_KEY\",\"value\":\"[redacted]\"}]",
        ),
        (
            "--token=x --env= {\"name\":\"A_KEY\",\"value\":\"x\"}",
            "--token=[redacted] --env={\"name\":\"A_KEY\",\"value\":\"[redacted]\"}",
        ),
    ] {
        assert_eq!(argument(text), rest, "{text}");
    }
}

#[test]
fn a_login_behind_basic_is_secret_and_english_is_not() {
    for (text, rest) in [
        ("-H 'X: Basic dXNlcjpw'", "-H 'X: Basic [redacted]'"),
        ("basic dXNlcjpwdw==, more", "basic [redacted], more"),
    ] {
        assert_eq!(argument(text), rest, "{text}");
    }
    for text in ["Basic training", "basic configuration of authentication", "Basic", "Basic ", "a basic: b"] {
        assert_eq!(argument(text), text);
    }
}

#[test]
fn what_is_no_secret_stays_in_text() {
    for text in [
        "a --password $(PASSWORD) --token $TOKEN --api-key=${API_KEY} --secret \"$SECRET\" --token '$(TOKEN)'",
        "a --token $(cat /t) --password `cat /p` --password=`cat /p`",
        "a --use-token --lr 1 --password -x",
        "a --use-token true --max-tokens 512 --tokenizer bert --sort-key id --key x",
        "a --token",
        "a --token ; b --token && c --token | d --token > e --token # f",
        "docker login -u me --password-stdin ghcr.io",
        "a --password '' --token= b",
        "a my-token b",
        "at 12:30 or 2024-05-06T07:08:09Z",
        "token://x secret://vault/path https://h/x s3://b/k?a=b",
        "wasbs://container@account.blob.core.windows.net/p abfss://c@a/x",
        "Pulling image \"registry.example.org:5000/org/secret-manager:v1@sha256:0b5e\"",
        "arn:aws:secretsmanager:us-east-1:1:x",
        "secret::Type crate::token::parse",
        "MountVolume.SetUp failed for volume \"api-token\" : secret \"api-token\" not found",
        "failed to fetch anonymous token: unexpected status: 401 Unauthorized",
        "failed to fetch oauth token: Get \"https://h\": context deadline exceeded",
        "imagePullSecrets:\n- name: pull\nsecret: {name: x}\ntoken: null\nsecretName: y\nautomountServiceAccountToken: true",
        "a '{\"secret\": {\"name\": \"n\"}, \"token\": null, \"tokens\": [1]}'",
        "password: $(PASSWORD)\n",
        "password:",
        "enter the password: ",
        "--config={\"lr\": 1,  \"a\": \"b\"}",
        "\n{ \"lr\":  1 }",
        "it's the token's",
    ] {
        assert_eq!(argument(text), text);
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "nothing waits here: it is the work that takes time")]
fn long_text_takes_no_longer_for_each_of_its_names() {
    for part in [
        "authorization: $a ",
        "token: no token: a ",
        "--token \"$a ",
        "token='$a ",
        "password=\\\"",
        "\"'`token:' ",
    ] {
        let text = part.repeat(100_000);
        let begun = std::time::Instant::now();
        pairs(&text);
        assert!(begun.elapsed().as_secs() < 20, "{part}");
    }
}
