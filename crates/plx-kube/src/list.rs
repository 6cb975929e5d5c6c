//! Lists of objects, page by page: how many there are must not decide how much memory it takes.

use crate::cluster::{WHOLE, refused, unreachable};
use crate::{Cluster, KubeError};
use plx_contract::credential::Files;
use serde::Deserialize;
use serde_json::Value;

/// Objects of one answer.
const PAGE: usize = 20;
/// Bytes of one answer; an object of Kubernetes has at most 1.5 MiB.
const MOST: usize = 8 << 20;

/// Which objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// By labels, as `a=b,c=d`.
    Labels(String),
    /// By fields, as `involvedObject.kind=Pod`.
    Fields(String),
}

impl Selector {
    /// The pods and services of a run (`polyaxon/_k8s/manager/base.py`, `get_managed_by_polyaxon`).
    pub fn of_run(uuid: &str) -> Self {
        Self::Labels(format!("app.kubernetes.io/instance={uuid},app.kubernetes.io/managed-by=polyaxon"))
    }

    /// The events of an object.
    pub fn about(kind: &str, name: &str) -> Self {
        Self::Fields(format!("involvedObject.kind={kind},involvedObject.name={name}"))
    }

    fn query(&self) -> String {
        match self {
            Self::Labels(labels) => format!("labelSelector={}", encoded(labels)),
            Self::Fields(fields) => format!("fieldSelector={}", encoded(fields)),
        }
    }
}

/// A part of a list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    /// The objects, as the server gave them.
    pub items: Vec<Value>,
    /// Where the next part goes on; none after the last.
    pub next: Option<String>,
}

#[derive(Deserialize)]
struct List {
    #[serde(default)]
    metadata: ListMeta,
    // Go writes an empty list as null.
    items: Option<Vec<Value>>,
}

#[derive(Default, Deserialize)]
struct ListMeta {
    #[serde(rename = "continue", default)]
    next: String,
}

impl<F: Files> Cluster<F> {
    /// Reads a part of a list of the namespace's `pods`, `events` or `services`: the first one, or that after another.
    ///
    /// # Errors
    /// When the server cannot be asked, refuses, or answers with something else or too much.
    pub async fn page(
        &self,
        resource: &str,
        selector: &Selector,
        after: Option<&str>,
    ) -> Result<Page, KubeError> {
        let next = after.map(|next| format!("&continue={}", encoded(next))).unwrap_or_default();
        let query = format!("{}&limit={PAGE}{next}", selector.query());
        let path = format!("/api/v1/namespaces/{}/{resource}?{query}", self.namespace());
        let mut response = self.send(&path, WHOLE).await?;
        if !response.status().is_success() {
            return Err(refused(&path, response).await);
        }
        let wrong =
            |said: &str| KubeError::Refused { path: path.clone(), status: 200, said: said.to_owned() };
        let mut body = Vec::new();
        while let Some(bytes) = response.chunk().await.map_err(|error| unreachable(&path, error))? {
            body.extend_from_slice(&bytes);
            if body.len() > MOST {
                return Err(wrong("the answer has no end"));
            }
        }
        let list: List = serde_json::from_slice(&body).map_err(|_| wrong("what came is no list"))?;
        Ok(Page {
            items: list.items.unwrap_or_default(),
            next: Some(list.metadata.next).filter(|next| !next.is_empty()),
        })
    }
}

fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_those_of_the_reference() {
        let query = Selector::of_run("8aac02e3").query();
        let decoded = percent_encoding::percent_decode_str(&query).decode_utf8_lossy().into_owned();
        assert_eq!(
            decoded,
            "labelSelector=app.kubernetes.io/instance=8aac02e3,app.kubernetes.io/managed-by=polyaxon"
        );
        assert!(!query.contains(','));
        assert_eq!(
            Selector::about("Pod", "a&b").query(),
            "fieldSelector=involvedObject%2Ekind%3DPod%2CinvolvedObject%2Ename%3Da%26b"
        );
    }
}
