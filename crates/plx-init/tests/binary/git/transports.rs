//! Every way to a repository.

use super::scene::{Scene, clone, code, git, history, is_sound, nothing_left, small, stands, text};
use crate::lab::Lab;
use plx_testkit::git::{KeyType, git_in};
use plx_testkit::{ForwardProxy, GitDaemon, GitSsh, PrivateCa, TlsFront};
use std::fs;

#[tokio::test]
async fn a_repository_comes_over_http_and_the_success_line_is_polyaxons() {
    let scene = Scene::new().await;
    let ended = scene.clone(&[]).await;
    stands(&scene.lab, &ended, &scene.repo.head(), "main");
    assert_eq!(text(&scene.lab, "src/b"), "b");
    let to = code(&scene.lab).display().to_string();
    assert_eq!(ended.stdout, format!("Git Repo is initialized, path: `{to}`\n"));
    let url = scene.url();
    assert_eq!(git(&scene.lab, &["remote", "-v"]), format!("origin\t{url} (fetch)\norigin\t{url} (push)"));
}

async fn private() -> (Scene, PrivateCa, TlsFront, String) {
    let (scene, ca) = (Scene::new().await, PrivateCa::new());
    let front = scene.http.tls(&ca).await;
    let url = scene.http.url_through(&front.url(), "org/repo");
    ca.write_to(&scene.lab.path("ca.pem")).unwrap();
    (scene, ca, front, url)
}

#[tokio::test]
async fn https_with_a_private_ca_works_when_a_variable_or_a_setting_names_it() {
    for variable in ["POLYAXON_SSL_CA_CERT", "GIT_SSL_CAINFO", ""] {
        let (mut scene, _, _front, url) = private().await;
        let ca = scene.lab.path("ca.pem").display().to_string();
        let flag = format!("--flags=-c http.sslCAInfo={ca}");
        let more = if variable.is_empty() { vec![flag.as_str()] } else { vec![] };
        if !variable.is_empty() {
            scene.lab.set(variable, &ca);
        }
        let ended = clone(&scene.lab, &url, &more).await;
        stands(&scene.lab, &ended, &scene.repo.head(), "main");
    }
}

#[tokio::test]
async fn https_with_a_private_ca_that_nobody_named_is_78_and_the_next_step_names_the_variable() {
    let (scene, _, _front, url) = private().await;
    clone(&scene.lab, &url, &[]).await.failed(78, &["POLYAXON_SSL_CA_CERT", "localhost"]);
    assert_eq!(scene.http.requests(), []);
    nothing_left(&scene.lab);
}

#[tokio::test]
async fn a_certificate_that_expired_or_is_for_another_host_is_78_even_with_its_ca() {
    let (mut scene, ca, _front, _) = private().await;
    scene.lab.set("POLYAXON_SSL_CA_CERT", &scene.lab.path("ca.pem").display().to_string());
    let (expired, other) =
        (TlsFront::expired(scene.http.addr(), &ca).await, TlsFront::wrong_name(scene.http.addr(), &ca).await);
    for front in [expired, other] {
        let url = scene.http.url_through(&front.url(), "org/repo");
        clone(&scene.lab, &url, &[]).await.failed(78, &["certificate"]);
    }
    assert_eq!(scene.http.requests(), []);
}

#[tokio::test]
async fn ssl_verify_false_takes_any_certificate_and_no_variable_is_needed() {
    let (scene, _, _front, url) = private().await;
    let ended = clone(&scene.lab, &url, &["--flags=[\"-c http.sslVerify=false\"]"]).await;
    stands(&scene.lab, &ended, &scene.repo.head(), "main");
    assert!(!git(&scene.lab, &["config", "--list", "--local"]).contains("sslverify"));
}

#[tokio::test]
async fn git_ssl_no_verify_takes_any_certificate() {
    let (mut scene, _, _front, url) = private().await;
    scene.lab.set("GIT_SSL_NO_VERIFY", "true");
    let ended = clone(&scene.lab, &url, &[]).await;
    stands(&scene.lab, &ended, &scene.repo.head(), "main");
}

#[tokio::test]
async fn ssl_verify_false_for_one_host_is_not_for_another() {
    let (scene, _, front, url) = private().await;
    let of = |host: &str| format!("--flags=-c http.{host}.sslVerify=false");
    clone(&scene.lab, &url, &[&of("https://elsewhere.invalid")]).await.failed(78, &[]);
    let ended = clone(&scene.lab, &url, &[&of(&front.url())]).await;
    stands(&scene.lab, &ended, &scene.repo.head(), "main");
}

#[tokio::test]
async fn ssh_takes_every_kind_of_key_also_in_the_older_format() {
    let (ssh, repo) = (GitSsh::with_host_keys(&[KeyType::Ed25519]).await, history());
    let url = ssh.url(&repo.path());
    let pem = ssh.secret_folder(&[("id_rsa", &ssh.pem_key())]);
    let named = KeyType::ALL.map(|kind| ssh.key_folder(kind, &format!("key-{kind:?}")));
    for folder in named.iter().chain([&pem]) {
        let mut lab = Lab::empty();
        lab.set("POLYAXON_SSH_PATH", &folder.display().to_string());
        let name =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let name = name.into_iter().find(|name| !name.starts_with("..")).unwrap();
        lab.set("POLYAXON_SSH_PRIVATE_KEY", &name);
        let ended = clone(&lab, &url, &[]).await;
        stands(&lab, &ended, &repo.head(), "main");
        assert_eq!(git(&lab, &["config", "remote.origin.url"]), url);
    }
    assert_eq!((ssh.logins(), ssh.refusals()), (4, 0));
}

#[tokio::test]
async fn git_daemon_serves_without_any_login() {
    let (daemon, repo, lab) = (GitDaemon::start().await, history(), Lab::empty());
    daemon.serve("org/repo", &repo);
    let ended = clone(&lab, &daemon.url("org/repo"), &["--revision=dev"]).await;
    stands(&lab, &ended, &repo.git(&["rev-parse", "dev"]), "dev");
}

#[tokio::test]
async fn git_daemon_without_that_repository_is_66() {
    let (daemon, lab) = (GitDaemon::start().await, Lab::empty());
    clone(&lab, &daemon.url("none"), &[]).await.failed(66, &["none"]);
    nothing_left(&lab);
}

#[tokio::test]
async fn a_repository_on_this_machine_is_taken_by_file_url_by_path_and_bare() {
    let (repo, outside) = (history(), Lab::empty());
    let bare = outside.path("with space.git");
    git_in(&repo.path(), &["clone", "--quiet", "--bare", ".", bare.to_str().unwrap()]);
    let encoded = format!("file://{}", bare.display()).replace(' ', "%20");
    for url in [repo.url(), repo.path().display().to_string(), bare.display().to_string(), encoded] {
        let lab = Lab::empty();
        let ended = clone(&lab, &url, &[]).await;
        stands(&lab, &ended, &repo.head(), "main");
        assert_eq!(git(&lab, &["config", "remote.origin.url"]), url);
    }
}

#[tokio::test]
async fn a_clone_of_a_repository_on_this_machine_does_not_need_it_afterwards() {
    let (repo, lab) = (small("a", "1"), Lab::empty());
    clone(&lab, &repo.url(), &[]).await.succeeded();
    drop(repo);
    is_sound(&code(&lab));
    assert_eq!(git(&lab, &["show", "HEAD:a"]), "1");
}

#[tokio::test]
async fn a_path_without_a_repository_is_66() {
    let lab = Lab::empty();
    fs::create_dir_all(lab.path("plain")).unwrap();
    for name in ["plain", "none"] {
        let path = lab.path(name).display().to_string();
        for url in [path.clone(), format!("file://{path}")] {
            clone(&lab, &url, &[]).await.failed(66, &[&path]);
        }
    }
    nothing_left(&lab);
}

#[tokio::test]
async fn plain_http_goes_through_the_forward_proxy() {
    let (mut scene, proxy) = (Scene::new().await, ForwardProxy::start().await);
    proxy.route("git.example:80", scene.http.addr());
    scene.lab.set("HTTP_PROXY", &proxy.url());
    let ended = clone(&scene.lab, "http://git.example/org/repo.git", &[]).await;
    stands(&scene.lab, &ended, &scene.repo.head(), "main");
    assert!(proxy.targets().iter().all(|target| target == "git.example:80") && !proxy.targets().is_empty());
}

#[tokio::test]
async fn https_goes_through_the_forward_proxy_by_a_tunnel_with_a_login() {
    let (mut scene, _, front, url) = private().await;
    let proxy = ForwardProxy::start_with_login("company", "proxy-password-0").await;
    scene.lab.plant("proxy-password-0");
    scene.lab.set("POLYAXON_SSL_CA_CERT", &scene.lab.path("ca.pem").display().to_string());
    let with = |login: &str| proxy.url().replace("://", &format!("://{login}@"));
    scene.lab.set("HTTPS_PROXY", &with("company:proxy-password-0"));
    let ended = clone(&scene.lab, &url, &[]).await;
    stands(&scene.lab, &ended, &scene.repo.head(), "main");
    assert!(proxy.targets().contains(&format!("localhost:{}", front.addr().port())), "{:?}", proxy.targets());
}

#[tokio::test]
async fn a_proxy_that_wants_another_login_is_77() {
    let (mut scene, proxy) = (Scene::new().await, ForwardProxy::start_with_login("u", "right").await);
    scene.lab.set("HTTP_PROXY", &proxy.url());
    scene.clone(&[]).await.failed(77, &["proxy"]);
    nothing_left(&scene.lab);
}

#[tokio::test]
async fn the_setting_http_proxy_names_a_proxy_too() {
    let (scene, proxy) = (Scene::new().await, ForwardProxy::start().await);
    let ended = scene.clone(&[&format!("--flags=-c http.proxy={}", proxy.url())]).await;
    stands(&scene.lab, &ended, &scene.repo.head(), "main");
    assert!(!proxy.targets().is_empty());
    assert!(!git(&scene.lab, &["config", "--list", "--local"]).contains("proxy"));
}

#[tokio::test]
async fn no_proxy_goes_straight_there() {
    let (mut scene, proxy) = (Scene::new().await, ForwardProxy::start().await);
    scene.lab.set("HTTP_PROXY", &proxy.url());
    scene.lab.set("NO_PROXY", "other.example,127.0.0.1");
    let ended = scene.clone(&[]).await;
    stands(&scene.lab, &ended, &scene.repo.head(), "main");
    assert_eq!(proxy.targets(), Vec::<String>::new());
}
