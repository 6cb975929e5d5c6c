//! The stores of a run: the default folder, `--store`, or a connections file.

use crate::cli::RunArgs;
use crate::deployment;
use crate::localize::PathMap;
use crate::settings::{Settings, utf8};
use plx_contract::connection::{Catalog, Connection, Kind, Schema};
use plx_contract::credential::{CredentialError, Files, Lookup};
use plx_contract::persistence::Persistence;
use plx_contract::{Class, Env};
use plx_runtime::Failure;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// Every connection of a run, as this machine reaches it.
#[derive(Debug, Clone)]
pub struct Stores {
    /// Name of the artifacts store.
    pub store: String,
    /// All connections, the store among them.
    pub catalog: Catalog,
    /// Mount paths of the pod that are other folders here.
    pub mounts: PathMap,
    /// Folders that have to be made first.
    pub create: Vec<PathBuf>,
    /// Volumes of data and outputs, as in older charts.
    pub persistence: Option<Persistence>,
}

impl Stores {
    /// What the command line asks for.
    ///
    /// # Errors
    /// When a file or an address is wrong, or credentials are missing.
    pub fn choose(
        args: &RunArgs,
        settings: &Settings,
        current_dir: &Path,
        env: &impl Env,
        files: &impl Files,
    ) -> Result<Self, Failure> {
        let given = args.connections.as_deref().map(deployment::read).transpose()?.unwrap_or_default();
        let mut create = Vec::new();
        let store = match (&args.store, given.store) {
            (Some(_), Some(_)) => {
                return Err(Failure::new(Class::Usage, "both --store and the connections file name a store")
                    .with_next("give --store, or artifactsStore in the file"));
            }
            (None, Some(store)) => {
                store.store_path()?; // an artifacts store that is none must not wait for the first pass
                store
            }
            (Some(store), None) if store.contains("://") => bucket(store, args, env, files)?,
            (Some(_), None) if args.endpoint.is_some() || args.region.is_some() => {
                return Err(Failure::new(Class::Usage, "--endpoint and --region are for a bucket")
                    .with_next("give --store s3://BUCKET/PREFIX"));
            }
            (Some(dir), None) => folder(&current_dir.join(dir), &mut create)?,
            (None, None) => folder(&settings.work_dir.join("store"), &mut create)?,
        };
        let mut stores = Self {
            store: store.name.clone(),
            catalog: Catalog { connections: vec![store] },
            mounts: PathMap::default(),
            create,
            persistence: given.persistence,
        };
        let others = given.others.into_iter().filter(|one| one.name != stores.store).collect::<Vec<_>>();
        stores.catalog.connections.extend(others);
        for connection in &mut stores.catalog.connections {
            localise(connection, &mut stores.mounts);
        }
        Ok(stores)
    }

    /// The artifacts store.
    pub fn store(&self) -> &Connection {
        self.catalog.find(&self.store).expect("the store is the first of the catalog")
    }

    /// The kind of a connection by its name.
    pub fn kind_of(&self, name: &str) -> Option<Kind> {
        self.catalog.find(name).ok().map(|connection| connection.kind.clone())
    }
}

fn folder(dir: &Path, create: &mut Vec<PathBuf>) -> Result<Connection, Failure> {
    let path = utf8(dir)?;
    create.push(dir.to_owned());
    Ok(connection("local", Kind::HostPath, json!({"hostPath": path, "mountPath": path})))
}

fn connection(name: &str, kind: Kind, schema: Value) -> Connection {
    Connection {
        name: name.to_owned(),
        kind,
        description: None,
        tags: None,
        schema: Some(schema),
        secret: None,
        config_map: None,
        env: None,
        annotations: None,
    }
}

fn bucket(url: &str, args: &RunArgs, env: &impl Env, files: &impl Files) -> Result<Connection, Failure> {
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    let (name, kind) = match scheme {
        "s3" => ("s3", Kind::S3),
        "gs" => ("gcs", Kind::Gcs),
        "wasb" | "wasbs" => ("wasb", Kind::Wasb),
        _ => {
            return Err(Failure::new(
                Class::Config,
                format!("--store {url}: only s3://, gs://, wasbs:// and folders"),
            )
            .with_next("describe other stores in a file and give --connections FILE"));
        }
    };
    if url.len() <= scheme.len() + "://".len() || url[scheme.len() + 3..].starts_with('/') {
        return Err(Failure::new(Class::Usage, format!("--store {url} names no bucket")));
    }
    let mut store = connection(name, kind, json!({ "bucket": url }));
    let mut settings = Map::new();
    for (key, value) in [("AWS_ENDPOINT_URL", &args.endpoint), ("AWS_REGION", &args.region)] {
        if let Some(value) = value {
            if store.kind != Kind::S3 {
                let flags = "--endpoint and --region belong to an s3:// store";
                return Err(Failure::new(Class::Usage, flags.to_owned()));
            }
            settings.insert(key.to_owned(), json!(value));
        }
    }
    if !settings.is_empty() {
        store.env = Some(Value::Object(settings));
    }
    if store.kind == Kind::S3 {
        need_keys(&store, env, files)?;
    }
    Ok(store)
}

/// Without any the client would ask this machine's cloud for some, and say so only much later.
fn need_keys(store: &Connection, env: &impl Env, files: &impl Files) -> Result<(), CredentialError> {
    const KEYS: [&str; 2] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
    /// Each of them says where else to look.
    const OTHERS: [&str; 5] = [
        "AWS_PROFILE",
        "AWS_SHARED_CREDENTIALS_FILE",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    ];
    let lookup = Lookup::new(store, env, files);
    let home = env.non_empty("HOME").map(|home| Path::new(&home).join(".aws/credentials"));
    if lookup.find_first(&OTHERS)?.is_some()
        || home.is_some_and(|path| matches!(files.read(&path), Ok(Some(_))))
    {
        return Ok(());
    }
    let partial = |have: &str, missing| CredentialError::Partial {
        connection: store.name.clone(),
        have: have.to_owned(),
        missing,
    };
    match KEYS.map(|key| lookup.find(key)) {
        [Ok(Some(_)), Ok(Some(_))] => Ok(()),
        [Ok(Some(_)), Ok(None)] => Err(partial(KEYS[0], KEYS[1])),
        [Ok(None), Ok(Some(_))] => Err(partial(KEYS[1], KEYS[0])),
        [Ok(None), Ok(None)] => Err(CredentialError::None {
            connection: store.name.clone(),
            looked: format!("environment variables {}, or a profile", KEYS.join(" and ")),
        }),
        [Err(error), _] | [_, Err(error)] => Err(error),
    }
}

/// A host path is mounted elsewhere in a pod; here it is where it is.
fn localise(connection: &mut Connection, mounts: &mut PathMap) {
    if let Schema::HostPath { host_path, mount_path, .. } = connection.schema()
        && connection.kind == Kind::HostPath
    {
        let (host, mount) = (host_path.trim_end_matches('/'), mount_path.trim_end_matches('/'));
        if host != mount && !host.is_empty() && !mount.is_empty() {
            mounts.add(mount, host);
            if let Some(Value::Object(schema)) = &mut connection.schema {
                schema.insert("mountPath".to_owned(), json!(host));
            }
        }
    }
}
