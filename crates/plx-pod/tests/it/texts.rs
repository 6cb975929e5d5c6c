use plx_contract::operation::Words;
use plx_pod::cli::RunArgs;
use plx_pod::context::{Context, Paths};
use plx_pod::localize::PathMap;
use plx_pod::settings::Settings;
use plx_pod::words::{program, quoted};
use std::path::Path;

fn context() -> Context {
    let args = RunArgs::from_words(&["f", "--run-uuid", "u1", "--project", "me/p"]).expect("words");
    let settings = Settings::settle(&args, Path::new("/w")).expect("settled");
    let paths = Paths {
        context: "/pod".into(),
        artifacts: "/pod/artifacts".into(),
        run: "/pod/artifacts/u1".into(),
        store: None,
    };
    let data = serde_json::from_str(r#"{"name":"my-data","kind":"s3","schema":{"bucket":"s3://b"}}"#);
    Context::new(&settings.instance, "local", Some("train"), &paths, &[data.expect("a connection")], [])
}

#[test]
fn templates_give_globals_short_forms_and_schemas() {
    let check = |text: &str, want: &str| {
        assert_eq!(context().render("x", text).expect("a template"), want, "{text}");
    };
    check("{{ globals.run_artifacts_path }}", "/pod/artifacts/u1");
    check("{{run_outputs_path}}/a\n\n", "/pod/artifacts/u1/outputs/a\n");
    check("no template\n", "no template\n");
    check("{{ uuid }} {{ name }} {{ globals.run_info }}", "u1 train me.p.runs.u1");
    check("{{ connections[\"my-data\"].bucket }}", "s3://b");
    check("{{ name|upper }}{% if uuid %}!{% endif %}", "TRAIN!");
    // Shell that only looks like a template.
    check("${#list} ${x%%y} {# c #}", "${#list} ${x%%y} {# c #}");
    check("${#list} {{ uuid }} <&>\"", "${#list} u1 <&>\"");
}

#[test]
fn an_expression_that_names_nothing_is_an_error_that_lists_what_there_is() {
    for (text, expression) in [
        ("a {{ globals.run_artifact_path }}", "globals.run_artifact_path"),
        ("{{ uuid }} {{ lr }}", "lr"),
        ("{{ connections[\"other\"].bucket }}", "connections[\"other\"].bucket"),
        ("{{ globals.store_path }}", "globals.store_path"),
    ] {
        let failure = context().render("args", text).expect_err(text);
        assert_eq!(failure.message, format!("args: nothing is called `{expression}`"));
        let next = failure.next.expect("a next step");
        assert!(
            next.contains("globals.run_artifacts_path") && next.contains("connections[\"my-data\"]"),
            "{next}"
        );
    }
    assert!(context().render("args", "{{ a b }}").expect_err("syntax").message.contains("`a b`"));
}

#[test]
fn paths_are_rewritten_at_their_boundaries_only() {
    let mut map = PathMap::default();
    map.add("/plx-context", "/w/pod");
    map.add("/s3-path", "/w/pod/paths/s3-path");
    let check = |text: &str, want: &str| assert_eq!(map.apply(text), want);
    check("/plx-context", "/w/pod");
    check("ls /plx-context/artifacts '/s3-path'", "ls /w/pod/artifacts '/w/pod/paths/s3-path'");
    check("--in=/s3-path:/plx-context/x", "--in=/w/pod/paths/s3-path:/w/pod/x");
    for same in
        ["/data/plx-context", "${R}/plx-context", "/plx-contexts", "/s3-path2/x", "x/s3-path", "é/s3-path"]
    {
        check(same, same);
    }
}

#[test]
fn the_more_special_path_wins() {
    let mut map = PathMap::default();
    map.add("/a", "/1");
    map.add("/a/b", "/2");
    map.add("/a", "/ignored");
    assert_eq!(map.apply("/a/b/c /a/c"), "/2/c /1/c");
}

#[test]
fn commands_and_arguments_become_the_words_of_one_program() {
    let line = |text: &str| Some(Words::Line(text.into()));
    let list = |words: &[&str]| Some(Words::List(words.iter().map(|w| (*w).to_owned()).collect()));
    let check = |command: Option<Words>, args: Option<Words>, want: Option<&[&str]>| {
        let got = program(command.as_ref(), args.as_ref());
        assert_eq!(got, want.map(|w| w.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>()));
    };
    check(list(&["a", "b"]), list(&["c d"]), Some(&["a", "b", "c d"]));
    check(list(&["sh", "-c"]), line("echo 1; echo 2"), Some(&["sh", "-c", "echo 1; echo 2"]));
    check(line("echo $X"), None, Some(&["sh", "-c", "echo $X"]));
    check(
        line("python t.py"),
        list(&["--a", "b c"]),
        Some(&["sh", "-c", "python t.py \"$@\"", "sh", "--a", "b c"]),
    );
    check(None, list(&["a"]), None);
    check(list(&[]), None, None);
    check(line("  "), None, None);
    assert_eq!(quoted(&["a".into(), "b c".into(), "it's".into(), String::new()]), r"a 'b c' 'it'\''s' ''");
}
