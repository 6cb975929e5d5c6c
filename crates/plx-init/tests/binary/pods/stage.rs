//! A scratch folder, servers and objects for one container of a pod.

use crate::lab::Lab;
use object_store::{ObjectStore, ObjectStoreExt as _, path::Path as Key};
use plx_contract::script::{Step, parse};
use plx_testkit::{
    Azurite, Content, FakeTracking, ForwardProxy, GcsServer, Moto, SERVICE_ACCOUNT_PUBLIC_KEY, SeenCall,
    Snapshot,
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const PODS: &str = include_str!("../../fixtures/pods.json");
pub const RUN: &str = "8aac02e3a62a4f0aaa257c59da5eab80";
/// Where the pods mount volumes; all but the first are folders in `mounts` here.
const MOUNTS: [&str; 8] =
    ["/plx-context", "/outputs/1", "/outputs/2", "/data/2", "/s3-path", "/inputs/here", "/build", "/etc/s3"];
/// What ours leaves besides: links and record.
const BESIDES: [&str; 3] = ["sh", "polyaxon", "artifacts/.fs"];

/// A container and all around it.
pub struct Pod {
    pub lab: Lab,
    pub root: String,
    /// For messages.
    pub name: String,
    pub argv: Vec<String>,
    pub api: FakeTracking,
    pub proxy: Option<ForwardProxy>,
    /// What a script says before a key, and the way to put objects.
    bucket: Option<(String, Box<dyn ObjectStore>)>,
    gcs: GcsServer,
}

/// The containers whose command ends like that.
pub fn containers(command: &str) -> Vec<Value> {
    let all: Vec<Value> = serde_json::from_str(PODS).unwrap();
    all.into_iter().filter(|one| words(&one["command"]).join(" ").ends_with(command)).collect()
}

fn words(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
}

pub fn mode(path: impl AsRef<Path>) -> u32 {
    fs::metadata(&path).unwrap_or_else(|_| panic!("{:?}", path.as_ref())).permissions().mode() & 0o7777
}

/// What stands at a name: no other name has it, and it is no text.
fn content(name: &str) -> Vec<u8> {
    [b"\xff\0", name.as_bytes()].concat()
}

impl Pod {
    pub async fn of(container: &Value, unique: &str) -> Self {
        let mut lab = Lab::empty();
        let root = lab.path("").display().to_string().trim_end_matches('/').to_owned();
        for mount in &MOUNTS[1..] {
            let folder = format!("{root}/mounts{mount}");
            fs::create_dir_all(&folder).unwrap();
            fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap(); // as of an emptyDir
        }
        for folder in [".configs", ".gc"] {
            fs::create_dir_all(lab.path(folder)).unwrap();
        }
        let (api, gcs) = (FakeTracking::start().await, GcsServer::start().await);
        api.give("run-token-1", "jane");
        gcs.accept_signed_by(SERVICE_ACCOUNT_PUBLIC_KEY);
        lab.set("AWS_EC2_METADATA_DISABLED", "true");
        let mut pod = Self {
            lab,
            root,
            name: format!("{} of {}", container["name"], container["pods"]),
            argv: Vec::new(),
            api,
            proxy: None,
            bucket: None,
            gcs,
        };
        let env: BTreeMap<&str, &Value> = container["env"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| (it["name"].as_str().unwrap(), it))
            .collect();
        let catalog = env.get("POLYAXON_CONNECTIONS_CATALOG").map(|it| it["value"].as_str().unwrap());
        let mut rename: Option<[(String, String); 2]> = None;
        if let Some(connection) = catalog.map(|it| serde_json::from_str::<Value>(it).unwrap()) {
            rename = pod.open(&connection["connections"][0], unique).await;
        }
        if env.contains_key("HTTP_PROXY") {
            pod.proxy = Some(ForwardProxy::start().await);
        }
        let here = |text: &str| {
            let mut text = text.to_owned();
            for (from, to) in rename.iter().flatten() {
                text = text.replace(from, to);
            }
            // A mount is a whole word or the beginning of one.
            for mount in MOUNTS {
                let to =
                    if mount == MOUNTS[0] { pod.root.clone() } else { format!("{}/mounts{mount}", pod.root) };
                for before in ["=", " ", "\""] {
                    text = text.replace(&format!("{before}{mount}"), &format!("{before}{to}"));
                }
            }
            text
        };
        let argv = [words(&container["command"]), words(&container["args"])].concat();
        let argv = argv.iter().map(|word| here(word)).collect();
        let mut set = Vec::new();
        for (name, it) in env {
            let value = match (name, it["value"].as_str()) {
                ("POLYAXON_HOST", _) => pod.api.url(),
                ("HTTP_PROXY" | "http_proxy" | "HTTPS_PROXY" | "https_proxy", _) => {
                    pod.proxy.as_ref().unwrap().url()
                }
                (_, Some(value)) => here(value),
                ("POLYAXON_K8S_NODE_NAME", _) => "node-1".to_owned(),
                ("POLYAXON_K8S_NAMESPACE", _) => "polyaxon".to_owned(),
                ("POLYAXON_K8S_POD_ID", _) => format!("plx-operation-{RUN}"),
                ("POLYAXON_AUTH_TOKEN", _) => "agent-token-0".to_owned(),
                ("POLYAXON_SECRET_INTERNAL_TOKEN", _) => "internal-token-0".to_owned(),
                ("AWS_REGION", _) => "us-east-1".to_owned(),
                ("AZURE_ACCOUNT_NAME" | "AZURE_ACCOUNT_KEY", _) => continue, // set with the store
                _ => panic!("{name} of {}", pod.name),
            };
            set.push((name.to_owned(), value));
        }
        pod.argv = argv;
        for (name, value) in set {
            pod.lab.set(&name, &value);
        }
        for secret in ["agent-token-0", "internal-token-0", "run-token-1"] {
            pod.lab.plant(secret);
        }
        pod
    }

    /// Makes the connection's bucket, gives the container what its secret holds, and tells which words are its name.
    async fn open(&mut self, connection: &Value, unique: &str) -> Option<[(String, String); 2]> {
        let bucket = connection["schema"]["bucket"].as_str()?;
        let (scheme, rest) = bucket.split_once("://").unwrap();
        let name = rest.split(['/', '@']).next().unwrap();
        let secret = connection["secret"]["mountPath"].as_str();
        let store: Box<dyn ObjectStore> = match scheme {
            "s3" => {
                let target = Moto::shared().await.target(unique).await;
                let secret_key = "moto-secret-key-0123456789";
                self.lab.plant(secret_key);
                for (key, value) in [("AWS_ACCESS_KEY_ID", "moto"), ("AWS_SECRET_ACCESS_KEY", secret_key)] {
                    match secret {
                        Some(folder) => {
                            fs::write(format!("{}/mounts{folder}/{key}", self.root), value).unwrap();
                        }
                        None => self.lab.set(key, value),
                    }
                }
                self.lab.set("AWS_ENDPOINT_URL", &target.endpoint);
                Box::new(target.store())
            }
            "gs" => {
                let target = self.gcs.target(unique);
                let key = target.signing_key_json();
                fs::write(self.lab.path(".gc/gc-secret.json"), &key).unwrap();
                Box::new(target.builder().with_service_account_key(key).build().unwrap())
            }
            _ => {
                let target = Azurite::shared().await.target(unique).await;
                if connection["secret"]["items"].is_array() {
                    self.lab.set("AZURE_ACCOUNT_NAME", &target.account);
                    self.lab.secret("AZURE_ACCOUNT_KEY", &target.key);
                    self.lab.set("AZURE_STORAGE_ENDPOINT", &target.endpoint);
                } else {
                    self.lab.secret("AZURE_CONNECTION_STRING", &target.connection_string());
                    self.lab.plant(&target.key);
                }
                Box::new(target.store())
            }
        };
        let full = |name: &str| match scheme {
            "wasbs" => [format!("wasbs://{name}@"), format!("--path-from={name}/")],
            _ => [format!("{scheme}://{name}"), format!("--path-from={scheme}://{name}/")],
        };
        let ([was, was_from], [is, is_from]) = (full(name), full(unique));
        // What the script says before a key.
        let before = is_from.strip_prefix("--path-from=").unwrap().to_owned();
        self.bucket = Some((before, store));
        Some([(was, is), (was_from, is_from)])
    }

    pub fn steps(&self) -> Vec<Step> {
        assert_eq!(self.argv[..2], ["/bin/sh", "-c"], "{}", self.name);
        parse(&self.argv[2]).unwrap_or_else(|| panic!("{}: {:?}", self.name, self.argv))
    }

    /// Puts what the script asks for, and what it does not; what must come, by its path in the lab.
    pub async fn stock(&self) -> BTreeMap<String, Content> {
        let mut objects = BTreeSet::new();
        let sources: Vec<(String, String, bool)> = self.steps().into_iter().filter_map(source).collect();
        for (from, _, file) in &sources {
            let below = if from.ends_with('/') { from.clone() } else { format!("{from}/") };
            match file {
                true => drop(objects.insert(from.clone())),
                false => {
                    objects.extend(["x", "sub/y", ".hidden", "a b"].map(|name| format!("{below}{name}")))
                }
            }
            // A neighbour: its name begins as the source's does.
            if !from.ends_with('/') {
                objects.insert(format!("{from}-other/no"));
            }
        }
        let mut wanted = BTreeMap::new();
        for object in &objects {
            match &self.bucket {
                Some((before, store)) => {
                    let key = Key::parse(object.strip_prefix(before).unwrap()).unwrap();
                    store.put(&key, content(object).into()).await.unwrap();
                }
                None => {
                    assert!(object.starts_with(&self.root), "{object}");
                    fs::create_dir_all(Path::new(object).parent().unwrap()).unwrap();
                    fs::write(object, content(object)).unwrap();
                }
            }
            for (from, to, _) in &sources {
                assert!(to.starts_with(&self.root), "{to}");
                let Some(rest) = object.strip_prefix(from.trim_end_matches('/')) else { continue };
                if rest.is_empty() || rest.starts_with('/') {
                    let to = format!("{}{rest}", to.trim_end_matches('/')).replacen(
                        &format!("{}/", self.root),
                        "",
                        1,
                    );
                    wanted.insert(to, Content::of(&content(object)));
                }
            }
        }
        wanted
    }

    /// What is in the lab now, without what is ours.
    fn seen(&self) -> BTreeMap<String, Content> {
        Snapshot::of(Path::new(&self.root)).unwrap().without(|name| BESIDES.contains(&name)).files
    }

    /// Carries it out; what is there now and was not before.
    pub async fn run(&self) -> BTreeMap<String, Content> {
        let before = self.seen();
        let argv: Vec<&str> = self.argv.iter().map(String::as_str).collect();
        let ended = match &argv[..] {
            ["/bin/sh", "-c", script] => self.lab.sh(script).await,
            ["polyaxon", args @ ..] => self.lab.polyaxon(args).await,
            other => panic!("{}: {other:?}", self.name),
        };
        assert_eq!(ended.code, 0, "{}: {ended:?}", self.name);
        let mut after = self.seen();
        for (name, content) in &before {
            assert_eq!(after.remove(name).as_ref(), Some(content), "{}: {name} was changed", self.name);
        }
        after
    }

    /// Method, path, who asks, and the body.
    pub fn asked(&self) -> Vec<(String, String, String, Value)> {
        let service = &self.lab.env["POLYAXON_HEADER"];
        let call = |call: SeenCall| {
            assert_eq!(call.header(service), Some("initializer"), "{}", self.name);
            let who = call.header("authorization").unwrap_or_default().to_owned();
            (call.method, call.path, who, call.body)
        };
        let calls = self.api.calls().into_iter().map(call).collect();
        if let Some(proxy) = &self.proxy {
            assert!(proxy.targets().contains(&self.api.addr().to_string()), "{}", self.name);
        }
        calls
    }
}

/// From where, to where, and whether it is a file; a path to be looked up is one when it has an extension.
fn source(step: Step) -> Option<(String, String, bool)> {
    match step {
        Step::MakeFolder(_) => None,
        Step::CopyFile(copy) => Some((copy.from, copy.to, true)),
        Step::CopyFolder(copy) => Some((copy.from, copy.to, false)),
        Step::Fetch(fetch) => {
            let file = fetch.is_file || fetch.check_path && Path::new(&fetch.from).extension().is_some();
            Some((fetch.from, fetch.to, file))
        }
    }
}
