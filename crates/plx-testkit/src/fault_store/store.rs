//! The traits of a store, each call through the rules.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures::TryStreamExt as _;
use futures::stream::{self, BoxStream, StreamExt as _};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartId, MultipartUpload,
    ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    UploadPart,
};

use super::rules::STORE;
use super::{Fault, FaultStore, Op, Upload, body};

// `get_ranges`, `list_with_offset` and `rename_opts` keep their definitions by the calls below, so each request counts.
#[async_trait]
impl ObjectStore for FaultStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let refused = self.state().no_conditions.clone().filter(|_| opts.mode != PutMode::Overwrite);
        if let Some(refusal) = refused {
            let (_flight, _) = self.begin(Op::Put, location.as_ref());
            self.suffer(Some(refusal), location.as_ref()).await?;
        }
        let opts = match self.state().ignores_conditions {
            true => PutOptions { mode: PutMode::Overwrite, ..opts },
            false => opts,
        };
        let work = |fault| self.memory.put_opts(location, body::stored(payload, fault), opts);
        let mut put = self.call(Op::Put, location.as_ref(), work).await?;
        if self.state().renames {
            put.e_tag = Some("\"while it is put\"".to_owned());
        }
        Ok(put)
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let id = self.create_multipart_opts(location, opts).await?;
        Ok(Box::new(OpenUpload { store: self.clone(), path: location.clone(), id, parts: Vec::new() }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        if options.head {
            return self.call(Op::Head, location.as_ref(), |_| self.memory.get_opts(location, options)).await;
        }
        let (flight, fault) = self.begin(Op::Get, location.as_ref());
        let fault = self.suffer(fault, location.as_ref()).await?;
        let found = self.memory.get_opts(location, options).await?;
        let (meta, range) = (found.meta.clone(), found.range.clone());
        let (attributes, extensions) = (found.attributes.clone(), found.extensions.clone());
        let bytes = found.bytes().await?;
        let payload = GetResultPayload::Stream(body::body(bytes, fault, flight));
        Ok(GetResult { payload, meta, range, attributes, extensions })
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        let delete = move |location: Result<Path>| {
            let store = store.clone();
            async move {
                let location = location?;
                let one = stream::iter([Ok(location.clone())]).boxed();
                let work = |_| store.memory.delete_stream(one).try_collect::<Vec<Path>>();
                store.call(Op::Delete, location.as_ref(), work).await?;
                Ok(location)
            }
        };
        locations.then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let key = prefix.map_or("", Path::as_ref).to_owned();
        let (flight, fault) = self.begin(Op::List, &key);
        body::listing(self, key, self.memory.list(prefix), flight, fault)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let key = prefix.map_or("", Path::as_ref);
        self.call(Op::List, key, |_| self.memory.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.call(Op::Copy, to.as_ref(), |_| self.memory.copy_opts(from, to, options)).await
    }
}

#[async_trait]
impl MultipartStore for FaultStore {
    async fn create_multipart(&self, path: &Path) -> Result<MultipartId> {
        self.create_multipart_opts(path, PutMultipartOptions::default()).await
    }

    async fn create_multipart_opts(&self, path: &Path, opts: PutMultipartOptions) -> Result<MultipartId> {
        let work = |_| async {
            let id = self.memory.create_multipart_opts(path, opts).await?;
            let upload = Upload { key: path.to_string(), parts: Default::default() };
            self.state().uploads.insert(id.clone(), upload);
            Ok(id)
        };
        self.call(Op::Create, path.as_ref(), work).await
    }

    async fn put_part(
        &self,
        path: &Path,
        id: &MultipartId,
        part_idx: usize,
        data: PutPayload,
    ) -> Result<PartId> {
        let work = |fault| async move {
            let size = data.content_length() as u64;
            self.check_open(path, id)?;
            self.memory.put_part(path, id, part_idx, body::stored(data, fault)).await?;
            let mut state = self.state();
            state.next_part += 1;
            let content_id = format!("\"part-{part_idx}-{}\"", state.next_part);
            let upload = state.uploads.get_mut(id).ok_or_else(|| no_upload(id))?;
            upload.parts.insert(part_idx, (size, content_id.clone()));
            Ok(PartId { content_id })
        };
        self.call(Op::PutPart, path.as_ref(), work).await
    }

    async fn complete_multipart(
        &self,
        path: &Path,
        id: &MultipartId,
        parts: Vec<PartId>,
    ) -> Result<PutResult> {
        let work = |_| async {
            self.check_parts(path, id, &parts)?;
            let done = self.memory.complete_multipart(path, id, parts).await?;
            self.state().uploads.remove(id);
            Ok(done)
        };
        self.call(Op::Complete, path.as_ref(), work).await
    }

    async fn abort_multipart(&self, path: &Path, id: &MultipartId) -> Result<()> {
        let work = |_| async {
            self.check_open(path, id)?;
            self.memory.abort_multipart(path, id).await?;
            self.state().uploads.remove(id);
            Ok(())
        };
        self.call(Op::Abort, path.as_ref(), work).await
    }
}

impl FaultStore {
    /// As S3 does: an upload is known by its key and its id.
    fn check_open(&self, path: &Path, id: &MultipartId) -> Result<()> {
        let state = self.state();
        let is_open = state.uploads.get(id).is_some_and(|upload| upload.key == path.as_ref());
        if is_open { Ok(()) } else { Err(no_upload(id)) }
    }

    /// As S3 does: the key of the upload, every part, in order, by the id it got last, none but the last too small.
    fn check_parts(&self, path: &Path, id: &MultipartId, named: &[PartId]) -> Result<()> {
        let state = self.state();
        let upload = state
            .uploads
            .get(id)
            .filter(|upload| upload.key == path.as_ref())
            .ok_or_else(|| no_upload(id))?;
        let refuse =
            |code: &str| Err(Fault::status(400, code).error(path.as_ref()).unwrap_or_else(|| no_upload(id)));
        let given: Vec<&String> = upload.parts.values().map(|(_, content_id)| content_id).collect();
        let whole = upload.parts.keys().copied().eq(0..named.len());
        if !whole || given != named.iter().map(|part| &part.content_id).collect::<Vec<_>>() {
            return refuse("InvalidPart");
        }
        let last = named.len().saturating_sub(1);
        if upload.parts.iter().any(|(&index, &(size, _))| index != last && size < state.min_part) {
            return refuse("EntityTooSmall");
        }
        Ok(())
    }
}

fn no_upload(id: &MultipartId) -> Error {
    Error::NotFound { path: id.clone(), source: "NoSuchUpload".into() }
}

/// What a part's upload left behind.
type Slot = Arc<Mutex<Option<PartId>>>;

/// An upload as `put_multipart` gives it.
#[derive(Debug)]
struct OpenUpload {
    store: FaultStore,
    path: Path,
    id: MultipartId,
    parts: Vec<Slot>,
}

#[async_trait]
impl MultipartUpload for OpenUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let slot = Slot::default();
        self.parts.push(Slot::clone(&slot));
        let (store, path, id, index) =
            (self.store.clone(), self.path.clone(), self.id.clone(), self.parts.len() - 1);
        Box::pin(async move {
            let part = MultipartStore::put_part(&store, &path, &id, index, data).await?;
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(part);
            Ok(())
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let taken = |slot: &Slot| slot.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let parts: Option<Vec<PartId>> = self.parts.iter().map(taken).collect();
        let missing = || Error::Generic { store: STORE, source: "a part was never uploaded".into() };
        self.store.complete_multipart(&self.path, &self.id, parts.ok_or_else(missing)?).await
    }

    async fn abort(&mut self) -> Result<()> {
        self.store.abort_multipart(&self.path, &self.id).await
    }
}
