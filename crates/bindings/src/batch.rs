//! Batches as Python sees them: read-only buffers over memory that Rust owns, nothing copied per record.

use std::ffi::c_int;
use std::ops::Range;
use std::sync::{Arc, Mutex, Weak};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyMemoryView};
use tradewind_engine::batch::{Batch as EngineBatch, BatchView};
use tradewind_engine::wire::event::CommandResult;

/// Batches kept for re-use; each holds the capacity it once needed.
const POOLED_BATCHES: usize = 4;

/// Gives cleared batches out and takes them back, so that a steady flow allocates nothing.
#[derive(Default)]
pub struct Pool {
    free: Mutex<Vec<EngineBatch>>,
}

impl Pool {
    pub fn take(&self) -> EngineBatch {
        self.free.lock().ok().and_then(|mut free| free.pop()).unwrap_or_default()
    }

    pub fn give_back(&self, mut batch: EngineBatch) {
        batch.clear();
        if let Ok(mut free) = self.free.lock() {
            if free.len() < POOLED_BATCHES {
                free.push(batch);
            }
        }
    }
}

/// A batch of this process; it returns to its pool when the last buffer over it is gone.
pub struct Live {
    pub batch: EngineBatch,
    pool: Weak<Pool>,
}

impl Live {
    pub fn new(batch: EngineBatch, pool: &Arc<Pool>) -> Self {
        Live { batch, pool: Arc::downgrade(pool) }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.give_back(std::mem::take(&mut self.batch));
        }
    }
}

/// The array of a batch that a buffer shows.
#[derive(Clone, Copy)]
pub enum Part {
    Commands,
    Results,
    Events,
    Postings,
    Notes,
}

/// Memory behind the buffers.
pub enum Storage {
    Live(Live),
    /// A payload read from the journal with the ranges of its five arrays.
    Stored {
        payload: Vec<u8>,
        ranges: [Range<usize>; 5],
    },
    /// Results gathered from a batch into which the sequencer put commands of its own.
    Gathered(Vec<u8>),
}

impl Storage {
    /// # Errors
    /// A sentence when the payload's counts do not fit its bytes.
    pub fn from_payload(payload: Vec<u8>) -> Result<Self, String> {
        let view = BatchView::decode(&payload)?;
        let start = payload.as_ptr() as usize;
        let range = |part: &[u8]| {
            let offset = part.as_ptr() as usize - start;
            offset..offset + part.len()
        };
        let parts = [view.commands, view.results, view.events, view.postings, view.notes];
        let ranges = parts.map(range);
        Ok(Storage::Stored { payload, ranges })
    }

    pub fn bytes(&self, part: Part) -> &[u8] {
        match self {
            Storage::Live(live) => {
                let view = live.batch.as_view();
                match part {
                    Part::Commands => view.commands,
                    Part::Results => view.results,
                    Part::Events => view.events,
                    Part::Postings => view.postings,
                    Part::Notes => view.notes,
                }
            }
            Storage::Stored { payload, ranges } => &payload[ranges[part as usize].clone()],
            Storage::Gathered(bytes) => bytes,
        }
    }
}

/// Exports one array through the buffer protocol. Users see it as a memoryview only.
#[pyclass(frozen, module = "tradewind._core")]
pub struct Records {
    storage: Arc<Storage>,
    part: Part,
}

#[pymethods]
impl Records {
    /// # Safety
    /// Called by Python's buffer protocol with a valid `view`. The memory lives as long as `slf`, to which the view
    /// holds a reference, and nothing writes to it: `Storage` is immutable once it is shared.
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let (pointer, length) = {
            let this = slf.get();
            let bytes = this.storage.bytes(this.part);
            (bytes.as_ptr(), bytes.len())
        };
        let read_only = 1;
        // SAFETY: see above; PyBuffer_FillInfo refuses writable requests and takes its own reference to `slf`.
        let status = unsafe {
            ffi::PyBuffer_FillInfo(
                view,
                slf.as_ptr(),
                pointer.cast_mut().cast(),
                length as ffi::Py_ssize_t,
                read_only,
                flags,
            )
        };
        if status == 0 {
            Ok(())
        } else {
            Err(PyErr::fetch(slf.py()))
        }
    }
}

/// One applied batch: commands, results, events, postings and notes of one journal block.
#[pyclass(frozen, module = "tradewind._core")]
pub struct Batch {
    storage: Arc<Storage>,
    /// Results of the submitted commands: `None` when the batch was read from a journal.
    submitted: Option<Range<usize>>,
    gathered: Option<Arc<Storage>>,
    #[pyo3(get)]
    first_seq: u64,
    #[pyo3(get)]
    last_seq: u64,
    #[pyo3(get)]
    count: u32,
    /// Nanoseconds since the Unix epoch at which the block was sequenced.
    #[pyo3(get)]
    time_ns: i64,
    #[pyo3(get)]
    block: i64,
    hash: Option<[u8; 32]>,
}

/// Place of a batch in the log.
#[derive(Clone, Copy)]
pub struct Place {
    pub first_seq: u64,
    pub count: u32,
    pub time_ns: i64,
    pub block: Option<(u64, [u8; 32])>,
}

impl Batch {
    /// The bytes of one array.
    pub fn bytes(&self, part: Part) -> &[u8] {
        self.storage.bytes(part)
    }

    pub fn stored(storage: Storage, place: Place) -> Self {
        Batch::build(Arc::new(storage), None, None, place)
    }

    /// A batch that was applied here; finds the results of the submitted commands.
    pub fn live(storage: Arc<Storage>, place: Place) -> Self {
        let Storage::Live(live) = &*storage else { return Batch::build(storage, None, None, place) };
        let (submitted, results) = (&live.batch.submitted, &live.batch.results);
        let contiguous = match (submitted.first(), submitted.last()) {
            (Some(&first), Some(&last)) => (last - first) as usize + 1 == submitted.len(),
            _ => true,
        };
        if contiguous {
            let size = size_of::<CommandResult>();
            let first = submitted.first().map_or(0, |&first| first as usize);
            let range = first * size..(first + submitted.len()) * size;
            return Batch::build(storage, Some(range), None, place);
        }
        let gathered: Vec<CommandResult> = submitted.iter().map(|&index| results[index as usize]).collect();
        let bytes = Storage::Gathered(bytemuck::cast_slice(&gathered).to_vec());
        Batch::build(storage, None, Some(Arc::new(bytes)), place)
    }

    fn build(
        storage: Arc<Storage>,
        submitted: Option<Range<usize>>,
        gathered: Option<Arc<Storage>>,
        place: Place,
    ) -> Self {
        Batch {
            storage,
            submitted,
            gathered,
            first_seq: place.first_seq,
            last_seq: place.first_seq + u64::from(place.count) - u64::from(place.count > 0),
            count: place.count,
            time_ns: place.time_ns,
            block: place.block.map_or(-1, |(block, _)| block as i64),
            hash: place.block.map(|(_, hash)| hash),
        }
    }

    fn view<'py>(
        &self,
        py: Python<'py>,
        storage: &Arc<Storage>,
        part: Part,
    ) -> PyResult<Bound<'py, PyMemoryView>> {
        let records = Bound::new(py, Records { storage: Arc::clone(storage), part })?;
        PyMemoryView::from(records.as_any())
    }
}

#[pymethods]
impl Batch {
    #[getter]
    fn commands<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyMemoryView>> {
        self.view(py, &self.storage, Part::Commands)
    }

    #[getter]
    fn results<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyMemoryView>> {
        self.view(py, &self.storage, Part::Results)
    }

    #[getter]
    fn events<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyMemoryView>> {
        self.view(py, &self.storage, Part::Events)
    }

    #[getter]
    fn postings<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyMemoryView>> {
        self.view(py, &self.storage, Part::Postings)
    }

    #[getter]
    fn notes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyMemoryView>> {
        self.view(py, &self.storage, Part::Notes)
    }

    /// BLAKE3 of the journal block; empty when the batch is in no journal.
    #[getter]
    fn block_hash<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.hash.as_ref().map_or(&[], |hash| hash.as_slice()))
    }

    /// Results of the submitted commands, in their order, without those that the sequencer inserted. A batch from
    /// a journal does not know which were submitted: it gives the results of all.
    fn input_results<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        if let Some(gathered) = &self.gathered {
            return Ok(self.view(py, gathered, Part::Results)?.into_any());
        }
        let all = self.view(py, &self.storage, Part::Results)?.into_any();
        match &self.submitted {
            None => Ok(all),
            Some(range) => {
                all.get_item(pyo3::types::PySlice::new(py, range.start as isize, range.end as isize, 1))
            }
        }
    }

    fn __len__(&self) -> usize {
        self.count as usize
    }

    fn __repr__(&self) -> String {
        format!("Batch(seq {}..{}, block {})", self.first_seq, self.last_seq, self.block)
    }
}

/// Bytes of a Python buffer: borrowed when nobody can change them, else copied at once.
pub enum Input<'a> {
    Borrowed(&'a [u8]),
    Copied(Vec<u8>),
}

impl<'a> Input<'a> {
    /// # Errors
    /// `TypeError` for objects without a contiguous byte buffer.
    pub fn of(object: &'a Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(bytes) = object.cast::<PyBytes>() {
            return Ok(Input::Borrowed(bytes.as_bytes()));
        }
        let view = PyMemoryView::from(object)?;
        // Another thread may write to a bytearray or array while the GIL is released, so its bytes are taken now.
        Ok(Input::Copied(view.call_method0("tobytes")?.cast::<PyBytes>()?.as_bytes().to_vec()))
    }

    pub fn bytes(&self) -> &[u8] {
        match self {
            Input::Borrowed(bytes) => bytes,
            Input::Copied(bytes) => bytes,
        }
    }
}
