//! Smart HTTP (`gitprotocol-http`), version 0: what libgit2 speaks, over our own client.

use super::client::{is_main, without_secrets};
use super::{Conversation, chain};
use crate::GitError;
use crate::address::{self, Login, Scheme};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use git2::transport::{Service, SmartSubtransport, SmartSubtransportStream};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use reqwest::{Method, Response, StatusCode};
use secrecy::ExposeSecret;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};
use url::Url;

const SERVICE: &str = "service=git-upload-pack";
const ADVERTISEMENT: &str = "application/x-git-upload-pack-advertisement";
const REQUEST: &str = "application/x-git-upload-pack-request";
const RESULT: &str = "application/x-git-upload-pack-result";
const REDIRECTS: usize = 5;

pub(super) struct Http {
    talk: Arc<Conversation>,
    /// Where the first answer came from, and what let us in there.
    found: Mutex<Option<Place>>,
}

#[derive(Clone)]
struct Place {
    base: Url,
    login: Option<Login>,
}

impl Http {
    pub fn new(talk: Arc<Conversation>) -> Self {
        Self { talk, found: Mutex::default() }
    }
}

impl SmartSubtransport for Http {
    fn action(&self, _: &str, action: Service) -> Result<Box<dyn SmartSubtransportStream>, git2::Error> {
        let found = || self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let mut exchange =
            Exchange { talk: Arc::clone(&self.talk), place: None, asked: Vec::new(), body: None };
        match action {
            Service::UploadPackLs => {
                let (place, answer) = self.talk.wait_for_library(advertised(&self.talk))?;
                *found() = Some(place);
                exchange.body = Some(Body { answer, left: Bytes::new() });
            }
            Service::UploadPack => exchange.place = found().clone(),
            Service::ReceivePackLs | Service::ReceivePack => {
                return Err(git2::Error::from_str("nothing is pushed from here"));
            }
        }
        Ok(Box::new(exchange))
    }

    fn close(&self) -> Result<(), git2::Error> {
        Ok(())
    }
}

/// One request and its answer. libgit2 writes all of the request before it reads.
struct Exchange {
    talk: Arc<Conversation>,
    place: Option<Place>,
    asked: Vec<u8>,
    body: Option<Body>,
}

struct Body {
    answer: Response,
    left: Bytes,
}

impl Write for Exchange {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.asked.extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Exchange {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.body.is_none() {
            let place = self.place.take().ok_or_else(|| io::Error::other("nothing was advertised"))?;
            let asked = std::mem::take(&mut self.asked);
            let answer = self.talk.wait_for_stream(posted(&self.talk, &place, asked))?;
            self.body = Some(Body { answer, left: Bytes::new() });
        }
        let Some(body) = &mut self.body else { return Ok(0) };
        if body.left.is_empty() {
            let next = self.talk.wait_for_stream(async {
                body.answer.chunk().await.map_err(|error| {
                    self.talk.unavailable(format!("the answer broke off: {}", chain(&error.without_url())))
                })
            })?;
            let Some(next) = next else { return Ok(0) };
            body.left = next;
        }
        let take = buffer.len().min(body.left.len());
        buffer[..take].copy_from_slice(&body.left.split_to(take));
        self.talk.session.received.add(take);
        Ok(take)
    }
}

/// The refs, and where they are.
async fn advertised(talk: &Conversation) -> Result<(Place, Response), GitError> {
    let first = Url::parse(&talk.address.to_request()).map_err(|error| GitError::NotGit {
        at: talk.address.to_string(),
        why: format!("is no URL: {error}"),
    })?;
    let mut place = Place { base: first, login: None };
    let mut redirects = 0;
    loop {
        let query = if place.base.query().is_some() { '&' } else { '?' };
        let target = format!("{}/info/refs{query}{SERVICE}", place.base.as_str().trim_end_matches('/'));
        let answer = send(talk, &place, Method::GET, &target, Vec::new()).await?;
        let status = answer.status();
        if status.is_redirection()
            && redirects < REDIRECTS
            && talk.session.transfer.follow_redirects != Some(false)
        {
            redirects += 1;
            place = redirected(talk, &place, &answer)?;
            continue;
        }
        // As git does it: nobody is told who asks before the server wants to know. Some say that a repository is not
        // there instead of asking.
        let hidden = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::NOT_FOUND];
        if place.login.is_none() && hidden.contains(&status) {
            place.login = login(talk, &place.base)?;
            if place.login.is_some() {
                if place.base.scheme() == "http" {
                    tracing::warn!(
                        "{}: the credentials go over the network in the clear: use https",
                        talk.address
                    );
                }
                continue;
            }
        }
        if !status.is_success() {
            return Err(refused(talk, &place, status));
        }
        let kind = content_type(&answer);
        if kind != ADVERTISEMENT {
            let from =
                if redirects > 0 { format!(" from {}", without_secrets(&place.base)) } else { String::new() };
            return Err(not_git(talk, format!("the answer{from} is `{kind}`, not that of a git server")));
        }
        return Ok((place, answer));
    }
}

/// What is asked for, and the pack that comes.
async fn posted(talk: &Conversation, place: &Place, asked: Vec<u8>) -> Result<Response, GitError> {
    let target = format!("{}/git-upload-pack", place.base.as_str().trim_end_matches('/'));
    let mut answer = send(talk, place, Method::POST, &target, asked.clone()).await?;
    // Some let everybody see the refs, and ask who it is for the rest.
    if answer.status() == StatusCode::UNAUTHORIZED && place.login.is_none() {
        let known = Place { base: place.base.clone(), login: login(talk, &place.base)? };
        if known.login.is_some() {
            answer = send(talk, &known, Method::POST, &target, asked).await?;
        }
    }
    if !answer.status().is_success() {
        return Err(refused(talk, place, answer.status()));
    }
    match content_type(&answer) {
        kind if kind == RESULT => Ok(answer),
        kind => Err(not_git(talk, format!("the answer is `{kind}`, not that of a git server"))),
    }
}

async fn send(
    talk: &Conversation,
    place: &Place,
    method: Method,
    target: &str,
    body: Vec<u8>,
) -> Result<Response, GitError> {
    let url = Url::parse(target).map_err(|error| not_git(talk, format!("is no URL: {error}")))?;
    let session = &talk.session;
    let mut request = session.client(&url)?.request(method.clone(), url);
    if method == Method::POST {
        request = request.header(CONTENT_TYPE, REQUEST).header(ACCEPT, RESULT).body(body);
    } else {
        request = request.header(ACCEPT, "*/*");
    }
    if let Some(login) = &place.login {
        request = request.header(AUTHORIZATION, basic(login));
    }
    if same_host_as_main(talk, &place.base) {
        for header in &session.transfer.headers {
            let (name, value) = extra(header.expose_secret())?;
            request = request.header(name, value);
        }
    }
    request.send().await.map_err(|error| unreached(talk, error))
}

fn same_host_as_main(talk: &Conversation, base: &Url) -> bool {
    address::parse(&without_secrets(base)).is_ok_and(|(address, _)| is_main(&talk.session, &address))
}

fn basic(login: &Login) -> HeaderValue {
    let pair = format!("{}:{}", login.user, login.password.expose_secret());
    let mut value = HeaderValue::from_str(&format!("Basic {}", BASE64_STANDARD.encode(pair)))
        .expect("base64 has nothing that a header may not hold");
    value.set_sensitive(true);
    value
}

fn extra(header: &str) -> Result<(HeaderName, HeaderValue), GitError> {
    let wrong = || GitError::Credentials {
        what: "-c http.extraHeader".to_owned(),
        why: "is no header".to_owned(),
        next: "write it as `-c http.extraHeader=Name: value`".to_owned(),
    };
    let (name, value) = header.split_once(':').ok_or_else(wrong)?;
    let name = name.trim().parse().map_err(|_| wrong())?;
    let mut value = HeaderValue::from_str(value.trim()).map_err(|_| wrong())?;
    value.set_sensitive(true);
    Ok((name, value))
}

/// Who we are to a host: what came with the address to that host alone, else what a credential store has for it.
fn login(talk: &Conversation, base: &Url) -> Result<Option<Login>, GitError> {
    let Ok((here, _)) = address::parse(&without_secrets(base)) else { return Ok(None) };
    // A server that sends to its own https side is the same one.
    let plain = talk.address.scheme == Scheme::Http && matches!(talk.address.port, None | Some(80));
    let upgraded =
        plain && here.host == talk.address.host && base.scheme() == "https" && base.port().is_none();
    if talk.login.is_some() && (here.same_host(&talk.address) || upgraded) {
        return Ok(talk.login.clone());
    }
    talk.session.access.complete(&here, None)
}

fn redirected(talk: &Conversation, from: &Place, answer: &Response) -> Result<Place, GitError> {
    let wrong = |why: String| not_git(talk, why);
    let location = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let location = location.ok_or_else(|| wrong(format!("answers {} and not where to", answer.status())))?;
    let target =
        answer.url().join(location).map_err(|_| wrong("sends to something that is no URL".to_owned()))?;
    let (shown, scheme) = (without_secrets(&target), target.scheme());
    if !matches!(scheme, "http" | "https") || (from.base.scheme() == "https" && scheme == "http") {
        return Err(wrong(format!("sends on to {shown}, which is not as safe")));
    }
    let mut base = target.clone();
    base.set_query(None);
    base.set_username("").ok();
    base.set_password(None).ok();
    let Some(path) = target.path().strip_suffix("/info/refs") else {
        return Err(wrong(format!("sends on to {shown}, where no repository is")));
    };
    let path = path.to_owned();
    base.set_path(&path);
    tracing::info!("{}: sent on to {}", talk.address, without_secrets(&base));
    // A login stays with its host; whether there is one for the next is seen when it asks.
    Ok(Place { base, login: None })
}

fn refused(talk: &Conversation, place: &Place, status: StatusCode) -> GitError {
    let at = talk.address.to_string();
    let who = match &place.login {
        Some(login) if !login.user.is_empty() => "the credentials that it was given",
        _ => "a request without credentials",
    };
    match status.as_u16() {
        401 | 403 => GitError::Denied {
            at,
            why: format!("the server refuses {who} ({})", status.as_u16()),
            next: match place.login {
                Some(_) => {
                    "check user and token: whether they are right, still valid, and may read it".to_owned()
                }
                None => "give the connection a secret with POLYAXON_GIT_CREDENTIALS=user:token".to_owned(),
            },
        },
        407 => GitError::Denied {
            at,
            why: "the proxy wants other credentials (407)".to_owned(),
            next: "put user and password into the proxy's variable".to_owned(),
        },
        404 | 410 => GitError::NoRepository { at, why: format!("{} to {who}", status.as_u16()) },
        408 | 429 | 500..=599 => talk.unavailable(format!("the server answers {}", status.as_u16())),
        other => not_git(talk, format!("the server answers {other}")),
    }
}

fn not_git(talk: &Conversation, why: String) -> GitError {
    GitError::NotGit { at: talk.address.to_string(), why }
}

fn unreached(talk: &Conversation, error: reqwest::Error) -> GitError {
    let why = chain(&error.without_url());
    let at = talk.address.to_string();
    if why.contains("certificate") || why.contains("UnknownIssuer") {
        return GitError::NotTrusted {
            at,
            why,
            next: "name the CA's certificate in POLYAXON_SSL_CA_CERT; `-c http.sslVerify=false` checks none"
                .to_owned(),
        };
    }
    GitError::Unavailable { at, why }
}

fn content_type(answer: &Response) -> String {
    let value = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.unwrap_or("nothing").split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}
