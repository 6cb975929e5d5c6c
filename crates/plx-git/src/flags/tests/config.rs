use super::*;
use crate::flags::config::{Meaning, config_key};
use secrecy::ExposeSecret;
use std::path::PathBuf;
use url::Url;

#[track_caller]
fn transfer(settings: &[&str]) -> Transfer {
    let items: Vec<String> = settings.iter().map(|setting| format!("-c '{setting}'")).collect();
    let flags = ours(&serde_json::to_string(&items).expect("a list"));
    assert_eq!(flags.written, []);
    flags.transfer
}

#[test]
fn settings_of_the_transfer_are_taken() {
    let of = |setting: &str| transfer(&[setting]);
    assert_eq!(of("http.sslVerify=false").ssl_verify, [(None, false)]);
    assert_eq!(of("HTTP.SSLVERIFY").ssl_verify, [(None, true)]);
    assert_eq!(of("http.sslVerify=").ssl_verify, [(None, false)]);
    assert_eq!(of("http.sslVerify=0").ssl_verify, [(None, false)]);
    assert_eq!(
        of("http.https://Git.corp:8443/x.sslVerify=no").ssl_verify,
        [(Some("https://Git.corp:8443/x".to_owned()), false)]
    );
    assert_eq!(of("http.sslCAInfo=/etc/ca.pem").ca_info.as_deref(), Some("/etc/ca.pem"));
    assert_eq!(of("http.userAgent=git/2.47").user_agent.as_deref(), Some("git/2.47"));
    assert_eq!(of("http.followRedirects=initial").follow_redirects, None);
    assert_eq!(of("http.followRedirects=false").follow_redirects, Some(false));
    assert_eq!(of("protocol.file.allow=always").allow_file, Some(true));
    assert_eq!(of("protocol.allow=always").allow_file, Some(true));
    assert_eq!(of("protocol.file.allow=never").allow_file, Some(false));
    assert_eq!(of("protocol.file.allow=user").allow_file, None);
    assert_eq!(of("credential.helper=store --file=/s/a").stores, [PathBuf::from("/s/a")]);
    assert_eq!(of("credential.helper=store --file \"/s/a b\"").stores, [PathBuf::from("/s/a b")]);
    let two =
        ["credential.helper=store --file=/s/a", "credential.helper=", "credential.helper=store --file=/b"];
    assert_eq!(transfer(&two).stores, [PathBuf::from("/b")]);
    assert_eq!(
        of("url.https://Host.org/A.b/.insteadOf=gh:").instead_of,
        [("https://Host.org/A.b/".to_owned(), "gh:".to_owned())]
    );
}

#[test]
fn a_proxy_without_a_scheme_is_http() {
    let of = |setting: &str| transfer(&[setting]).proxy.map(|proxy| proxy.expose_secret().to_owned());
    assert_eq!(of("http.proxy=http://u:p@proxy:3128").as_deref(), Some("http://u:p@proxy:3128"));
    assert_eq!(of("http.proxy=proxy:3128").as_deref(), Some("http://proxy:3128"));
}

#[test]
fn headers_gather_until_an_empty_one() {
    let found = transfer(&[
        "http.extraHeader=A: 1",
        "http.extraHeader=",
        "http.extraHeader=B: 2",
        "http.extraHeader=C:3",
    ]);
    let found: Vec<_> = found.headers.iter().map(ExposeSecret::expose_secret).collect();
    assert_eq!(found, ["B: 2", "C:3"]);
}

#[test]
fn settings_of_the_checkout_and_of_main_are_written() {
    for (given, want) in [
        ("Core.AutoCRLF=input", "core.autocrlf=input"),
        ("core.symlinks=false", "core.symlinks=false"),
        ("core.quotePath", "core.quotepath=true"),
        ("user.email=a@b.c", "user.email=a@b.c"),
        ("user.name=A=B", "user.name=A=B"),
        ("author.name=A", "author.name=A"),
        ("branch.Dev.x.Merge=refs/heads/Dev", "branch.Dev.x.merge=refs/heads/Dev"),
        ("advice.detachedHead=false", "advice.detachedhead=false"),
        ("color.pager=false", "color.pager=false"),
        ("pull.rebase=true", "pull.rebase=true"),
        ("safe.directory=/x", "safe.directory=/x"),
        ("init.defaultBranch=main", "init.defaultbranch=main"),
        ("http.postBuffer=524288000", "http.postbuffer=524288000"),
        ("http.version=HTTP/1.1", "http.version=HTTP/1.1"),
        ("protocol.version=2", "protocol.version=2"),
        ("submodule.recurse=true", "submodule.recurse=true"),
        ("user.name=", "user.name="),
    ] {
        let flags = ours(&format!("-c {given}"));
        let found: Vec<_> = flags.written.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(found, [want], "{given}");
        assert_eq!(flags.transfer, Transfer::default(), "{given}");
        assert_eq!(ours(&flags.canonical()), flags, "{given}");
    }
}

#[test]
fn what_names_a_program_or_moves_the_clone_is_refused() {
    for (setting, says, next) in [
        ("core.sshCommand=hunter2", "core.sshcommand", "POLYAXON_SSH_PATH"),
        ("core.gitProxy=hunter2", "core.gitproxy", "HTTPS_PROXY"),
        ("core.hooksPath=/x", "core.hookspath", "no hooks"),
        ("core.fsmonitor=hunter2", "core.fsmonitor", "names a program"),
        ("core.askPass=hunter2", "core.askpass", "POLYAXON_GIT_CREDENTIALS"),
        ("core.editor=hunter2", "core.editor", "names a program"),
        ("core.pager=hunter2", "core.pager", "names a program"),
        ("core.worktree=/x", "core.worktree", "beside .git"),
        ("core.bare=true", "core.bare", "beside .git"),
        ("core.sparseCheckout=true", "core.sparsecheckout", "all files"),
        ("core.protectNTFS=false", "core.protectntfs", "never written"),
        ("alias.st=!hunter2", "alias.st", "names a program"),
        ("filter.lfs.smudge=hunter2", "filter.….smudge", "git lfs pull"),
        ("lfs.url=https://u:hunter2@h", "lfs.url", "git lfs pull"),
        ("credential.helper=!hunter2", "credential.helper of this form", "POLYAXON_GIT_CREDENTIALS"),
        ("credential.helper=store", "credential.helper of this form", "--file=PATH"),
        ("credential.helper=\"store --file=~/x\"", "credential.helper of this form", "absolute"),
        ("credential.helper=\"store --file=/x; hunter2\"", "credential.helper of this form", "absolute"),
        ("credential.https://hunter2@h.helper=x", "credential.….helper", "POLYAXON_GIT_CREDENTIALS"),
        ("gpg.program=hunter2", "gpg.program", "names a program"),
        ("diff.external=hunter2", "diff.external", "names a program"),
        ("diff.x.command=hunter2", "diff.….command", "names a program"),
        ("diff.x.textconv=hunter2", "diff.….textconv", "names a program"),
        ("merge.x.driver=hunter2", "merge.….driver", "names a program"),
        ("pack.packObjectsHook=hunter2", "pack.packobjectshook", "names a program"),
        ("gc.recentObjectsHook=hunter2", "gc.recentobjectshook", "names a program"),
        ("init.templateDir=/x", "init.templatedir", "names a program"),
        ("sequence.editor=hunter2", "sequence.editor", "names a program"),
        ("mergetool.x.cmd=hunter2", "mergetool.….cmd", "names a program"),
        ("submodule.x.update=!hunter2", "submodule.….update", ".gitmodules"),
        ("include.path=/x", "include.path", "themselves"),
        ("includeIf.gitdir:/x.path=/y", "includeif.….path", "themselves"),
        ("remote.origin.url=https://u:hunter2@h", "remote.….url", "the remote is origin"),
        ("extensions.worktreeConfig=true", "extensions.worktreeconfig", "libgit2"),
        ("protocol.ext.allow=always", "protocol.….allow", "protocol.file.allow"),
        ("http.sslCert=/x", "http.sslcert", "client certificates"),
        ("http.https://hunter2@h/.extraHeader=hunter2", "http.….extraheader", "without a url"),
        ("fetch.bundleURI=https://hunter2@h", "fetch.bundleuri", "--depth=1"),
    ] {
        check_refused(&format!("-c {setting}"), &format!("-c {says} is not supported"), next);
    }
}

#[test]
fn an_unknown_setting_is_named_without_what_may_be_secret() {
    check_refused("-c http.sslVerfy=hunter2", "unknown setting -c http.sslverfy", "perhaps http.sslverify");
    check_refused("-c core.autocrl=hunter2", "unknown setting -c core.autocrl", "perhaps core.autocrlf");
    check_refused("-c zzz.hunter2.x=hunter2", "unknown setting -c zzz.….x", "git config");
    for key in [
        "hunter2",
        "=hunter2",
        ".x=hunter2",
        "a.=hunter2",
        "'http.extraHeader: hunter2'",
        "a_b.c=hunter2",
        "a.1=hunter2",
    ] {
        check_refused(&format!("-c {key}"), "-c wants SECTION.NAME=VALUE", "SECTION.NAME");
    }
}

#[test]
fn a_setting_with_a_wrong_value_is_refused_without_repeating_it() {
    for (setting, says) in [
        ("http.sslVerify=hunter2", "http.sslverify wants true or false"),
        ("http.https://u:hunter2@h/.sslVerify=false", "http.sslverify wants in its middle the url"),
        ("http.h.sslVerify=false", "http.sslverify wants in its middle the url"),
        ("http.sslCAInfo=", "http.sslcainfo wants a file"),
        ("http.proxy=", "http.proxy wants the url"),
        ("http.proxy=socks5://hunter2", "http.proxy wants the url"),
        ("http.extraHeader=hunter2", "http.extraheader wants a header"),
        ("'http.extraHeader=A B: hunter2'", "http.extraheader wants a header"),
        ("http.userAgent=", "http.useragent wants"),
        ("http.followRedirects=hunter2", "http.followredirects wants true or false"),
        ("protocol.file.allow=hunter2", "protocol.….allow wants always, never or user"),
        ("protocol.allow=never", "protocol.allow wants always or user"),
    ] {
        check_refused(&format!("-c {setting}"), says, "give -c ");
    }
}

#[test]
fn a_key_has_its_meaning_whatever_its_case() {
    let written = |key: &str| Ok(Meaning::Written(key.to_owned()));
    assert_eq!(config_key("CORE.EOL"), written("core.eol"));
    assert_eq!(config_key("Branch.A.b.Remote"), written("branch.A.b.remote"));
    assert_eq!(config_key("URL.https://A/.INSTEADOF"), Ok(Meaning::InsteadOf("https://A/".to_owned())));
}

#[test]
fn the_most_exact_setting_for_a_host_wins_and_no_other_host_fits() {
    let verifies =
        |settings: &[&str], url: &str| transfer(settings).verifies(&Url::parse(url).expect("a url"));
    let host = ["http.https://git.corp.sslVerify=false"];
    assert_eq!(verifies(&host, "https://git.corp/x"), Some(false));
    assert_eq!(verifies(&host, "https://GIT.corp:443/x"), Some(false));
    assert_eq!(verifies(&host, "https://git.corp.evil.com/x"), None);
    assert_eq!(verifies(&host, "https://git.corp:8443/x"), None);
    assert_eq!(verifies(&host, "http://git.corp/x"), None);
    assert_eq!(verifies(&[], "https://git.corp/x"), None);
    let path = [
        "http.https://git.corp/a/.sslVerify=false",
        "http.https://git.corp/.sslVerify=true",
        "http.sslVerify=false",
    ];
    assert_eq!(verifies(&path, "https://git.corp/a"), Some(false));
    assert_eq!(verifies(&path, "https://git.corp/a/b"), Some(false));
    assert_eq!(verifies(&path, "https://git.corp/ab"), Some(true));
    assert_eq!(verifies(&path, "https://other/ab"), Some(false));
    let star = ["http.https://git.corp/.sslVerify=true", "http.https://*.corp/.sslVerify=false"];
    assert_eq!(verifies(&star, "https://git.corp/a"), Some(true));
    assert_eq!(verifies(&star, "https://x.corp/a"), Some(false));
    assert_eq!(verifies(&star, "https://y.x.corp/a"), None);
    assert_eq!(verifies(&["http.sslVerify=false", "http.sslVerify=true"], "https://h/"), Some(true));
}

#[test]
fn neither_debug_nor_the_canonical_text_show_a_secret() {
    let raw = [
        "-c 'http.extraHeader=Authorization: hunter2'",
        "-c http.proxy=http://u:hunter2@proxy",
        "-c url.https://hunter2@github.com/.insteadOf=https://github.com/",
        "-c url.hunter2@github.com:.insteadOf=https://hunter2@github.com/",
    ];
    let flags = ours(&raw.join(" "));
    let shown = format!("{flags:?} {flags:#?} {}", flags.canonical());
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(flags.canonical().contains("url.https://github.com/.insteadof=https://github.com/"), "{shown}");
}
