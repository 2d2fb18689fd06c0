//! Books of outside venues: levels, the two sides that mirror them, and the frames they come in.

use pyo3::exceptions::{PyIndexError, PyOverflowError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyIterator, PySlice, PyString, PyTuple};
use tradewind_feeds::side::{self, Side, Units as TextUnits};
use tradewind_feeds::units::{self, Scale};
use tradewind_feeds::{binance, kraken, Level};

/// Levels of one side in a venue's order: an immutable sequence of (price_ticks, lots) that equals the tuple of them.
///
/// The pairs become Python objects when they are looked at, and not before.
#[pyclass(frozen, sequence, module = "tradewind._core")]
pub struct Levels {
    levels: Vec<Level>,
}

impl Levels {
    pub fn from_levels(levels: Vec<Level>) -> Self {
        Levels { levels }
    }
}

#[pymethods]
impl Levels {
    #[new]
    fn new(levels: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Levels { levels: Given::of(levels)?.levels().to_vec() })
    }

    fn __len__(&self) -> usize {
        self.levels.len()
    }

    fn __getitem__<'py>(&self, py: Python<'py>, index: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        if index.is_instance_of::<PySlice>() {
            return pairs(py, &self.levels)?.as_any().get_item(index);
        }
        let given: isize = index.extract()?;
        let place = if given < 0 { given + self.levels.len() as isize } else { given };
        let level = usize::try_from(place).ok().and_then(|place| self.levels.get(place));
        let level = level.ok_or_else(|| PyIndexError::new_err("no such level"))?;
        Ok(pair(py, *level)?.into_any())
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        pairs(py, &self.levels)?.try_iter()
    }

    fn __eq__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> PyResult<bool> {
        if let Ok(other) = other.cast::<Levels>() {
            return Ok(self.levels == other.get().levels);
        }
        pairs(py, &self.levels)?.eq(other)
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        pairs(py, &self.levels)?.hash()
    }

    fn __repr__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        pairs(py, &self.levels)?.repr()
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyTuple>,))> {
        Ok((py.get_type::<Levels>().into_any(), (pairs(py, &self.levels)?,)))
    }
}

fn whole(py: Python<'_>, lots: i128) -> PyResult<Bound<'_, PyInt>> {
    // nearly all quantities are small, and the wide conversion is slow
    match i64::try_from(lots) {
        Ok(small) => Ok(small.into_pyobject(py)?),
        Err(_) => Ok(lots.into_pyobject(py)?),
    }
}

fn pair(py: Python<'_>, level: Level) -> PyResult<Bound<'_, PyTuple>> {
    (level.price_ticks, whole(py, level.lots)?).into_pyobject(py)
}

fn pairs<'py>(py: Python<'py>, levels: &[Level]) -> PyResult<Bound<'py, PyTuple>> {
    let pairs: Vec<Bound<'py, PyTuple>> =
        levels.iter().map(|level| pair(py, *level)).collect::<PyResult<_>>()?;
    PyTuple::new(py, pairs)
}

/// Levels as a caller hands them over.
pub enum Given<'py> {
    Native(Bound<'py, Levels>),
    Read(Vec<Level>),
}

impl<'py> Given<'py> {
    /// # Errors
    /// They are no pairs of whole numbers.
    pub fn of(levels: &Bound<'py, PyAny>) -> PyResult<Self> {
        if let Ok(native) = levels.cast::<Levels>() {
            return Ok(Given::Native(native.clone()));
        }
        let read = levels.try_iter()?.map(|pair| read_pair(&pair?)).collect::<PyResult<_>>()?;
        Ok(Given::Read(read))
    }

    pub fn levels(&self) -> &[Level] {
        match self {
            Given::Native(native) => &native.get().levels,
            Given::Read(levels) => levels,
        }
    }
}

fn read_pair(pair: &Bound<'_, PyAny>) -> PyResult<Level> {
    let (price, lots): (Bound<'_, PyAny>, Bound<'_, PyAny>) = pair.extract()?;
    Ok(Level { price_ticks: price.extract()?, lots: read_lots(&lots)? })
}

fn read_lots(lots: &Bound<'_, PyAny>) -> PyResult<i128> {
    match lots.extract::<i64>() {
        Ok(small) => Ok(i128::from(small)),
        Err(error) if error.is_instance_of::<PyOverflowError>(lots.py()) => lots.extract(),
        Err(error) => Err(error),
    }
}

/// One side of a bounded book: integer prices and quantities, the best level at hand. Side 0 buys, side 1 sells.
#[pyclass(module = "tradewind._core")]
pub struct BookSide {
    side: Side,
}

#[pymethods]
impl BookSide {
    /// Raises:
    ///     ValueError: there is no such side, or it is to hold less than one level.
    #[new]
    fn new(side: u8, max_levels: usize) -> PyResult<Self> {
        if side > 1 || max_levels < 1 {
            let message = format!("side 0 or 1 and max_levels of at least 1, got {side} and {max_levels}");
            return Err(PyValueError::new_err(message));
        }
        Ok(BookSide { side: Side::new(side == 0, max_levels) })
    }

    #[getter]
    fn side(&self) -> u8 {
        u8::from(!self.side.is_bids())
    }

    #[getter]
    fn max_levels(&self) -> usize {
        self.side.max_levels()
    }

    fn __len__(&self) -> usize {
        self.side.len()
    }

    fn __contains__(&self, price_ticks: i64) -> bool {
        self.side.lots_at(price_ticks).is_some()
    }

    /// Takes a snapshot's levels (any order); zero quantities are skipped.
    fn replace(&mut self, levels: &Bound<'_, PyAny>) -> PyResult<()> {
        self.side.replace(Given::of(levels)?.levels());
        Ok(())
    }

    fn clear(&mut self) {
        self.side.clear();
    }

    /// Applies absolute quantities; the levels whose quantity really changed.
    fn apply(&mut self, levels: &Bound<'_, PyAny>) -> PyResult<Levels> {
        let given = Given::of(levels)?;
        let changed = self.side.apply(given.levels());
        Ok(Levels { levels: changed.unwrap_or_else(|| given.levels().to_vec()) })
    }

    /// Drops the worst levels beyond the bound; the removals.
    fn truncate(&mut self) -> Levels {
        let mut levels = Vec::new();
        self.side.truncate(&mut levels);
        Levels { levels }
    }

    #[getter]
    fn best_ticks(&self) -> Option<i64> {
        self.side.best().map(|level| level.price_ticks)
    }

    #[getter]
    fn best<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        self.side.best().map(|level| pair(py, level)).transpose()
    }

    #[getter]
    fn horizon_ticks(&self) -> Option<i64> {
        self.side.horizon_ticks()
    }

    fn complete_levels(&self) -> usize {
        self.side.complete_levels()
    }

    /// The best `count` levels (all when None), best first.
    #[pyo3(signature = (count=None))]
    fn top<'py>(&self, py: Python<'py>, count: Option<usize>) -> PyResult<Bound<'py, PyTuple>> {
        let levels: Vec<Level> = self.side.top(count.unwrap_or(usize::MAX)).collect();
        pairs(py, &levels)
    }
}

/// Both sides of a book, updated together.
#[pyclass(frozen, module = "tradewind._core")]
pub struct BookSides {
    #[pyo3(get)]
    bids: Py<BookSide>,
    #[pyo3(get)]
    asks: Py<BookSide>,
}

#[pymethods]
impl BookSides {
    #[new]
    fn new(py: Python<'_>, max_levels: usize) -> PyResult<Self> {
        Ok(BookSides {
            bids: Py::new(py, BookSide::new(0, max_levels)?)?,
            asks: Py::new(py, BookSide::new(1, max_levels)?)?,
        })
    }

    /// Applies an update and cuts both sides to their bound. None: every level of it changed and none was dropped;
    /// else the levels of (bids, asks) that changed or were dropped (0 lots).
    fn update(
        &self,
        py: Python<'_>,
        bids: &Bound<'_, PyAny>,
        asks: &Bound<'_, PyAny>,
    ) -> PyResult<Option<(Levels, Levels)>> {
        let (bids, asks) = (Given::of(bids)?, Given::of(asks)?);
        let mut bid_side = self.bids.try_borrow_mut(py)?;
        let mut ask_side = self.asks.try_borrow_mut(py)?;
        let changed = side::update((&mut bid_side.side, &mut ask_side.side), bids.levels(), asks.levels());
        Ok(changed.map(|(bids, asks)| (Levels { levels: bids }, Levels { levels: asks })))
    }

    /// Best bid and best ask in ticks, None where a side is empty.
    fn best_ticks(&self, py: Python<'_>) -> PyResult<(Option<i64>, Option<i64>)> {
        Ok((self.bids.try_borrow(py)?.best_ticks(), self.asks.try_borrow(py)?.best_ticks()))
    }

    /// Kraken's checksum of the best `count` levels; one tick and one lot are so many of the venue's smallest units.
    fn checksum(&self, py: Python<'_>, count: usize, tick_units: u64, lot_units: u64) -> PyResult<u32> {
        let asked = TextUnits { count, tick_units, lot_units };
        let mut bid_side = self.bids.try_borrow_mut(py)?;
        let mut ask_side = self.asks.try_borrow_mut(py)?;
        Ok(side::checksum(&mut bid_side.side, &mut ask_side.side, asked))
    }
}

/// A step as denominator and exponent of ten, and the smallest number of steps.
type Step = (u64, i32, u64);

fn scale_of(price: Step, quantity: Step) -> PyResult<Scale> {
    let units = |(denominator, exponent, minimum): Step| {
        units::Units::new(denominator, exponent, minimum)
            .ok_or_else(|| PyValueError::new_err("a step must be positive"))
    };
    Ok(Scale { price: units(price)?, quantity: units(quantity)? })
}

/// Reads depth updates of one symbol of Binance.
#[pyclass(frozen, module = "tradewind._core")]
pub struct BinanceDepthReader {
    scale: Scale,
}

/// first_id, last_id, previous_id, event_ns, bids, asks
type DepthRow = (i64, i64, Option<i64>, i64, Levels, Levels);

#[pymethods]
impl BinanceDepthReader {
    /// Raises:
    ///     ValueError: a step is not positive.
    #[new]
    fn new(price: Step, quantity: Step) -> PyResult<Self> {
        Ok(BinanceDepthReader { scale: scale_of(price, quantity)? })
    }

    /// An update as the combined stream usually writes it; None for every other frame.
    fn read(&self, frame: &[u8]) -> Option<DepthRow> {
        let depth = binance::depth(frame, &self.scale)?;
        let (bids, asks) = (Levels { levels: depth.bids }, Levels { levels: depth.asks });
        Some((depth.first_id, depth.last_id, depth.previous_id, depth.event_ns, bids, asks))
    }
}

/// Reads book updates of some symbols of Kraken.
#[pyclass(frozen, module = "tradewind._core")]
pub struct KrakenBookReader {
    reader: kraken::Reader,
}

/// place of the symbol, bids, asks, checksum, venue_ns
type UpdateRow = (usize, Levels, Levels, i64, Option<i64>);

#[pymethods]
impl KrakenBookReader {
    /// `symbols` are (venue symbol, price step, quantity step).
    ///
    /// Raises:
    ///     ValueError: a step is not positive.
    #[new]
    fn new(symbols: Vec<(String, Step, Step)>) -> PyResult<Self> {
        let scaled: Vec<(String, Scale)> = symbols
            .into_iter()
            .map(|(name, price, quantity)| Ok((name, scale_of(price, quantity)?)))
            .collect::<PyResult<_>>()?;
        Ok(KrakenBookReader { reader: kraken::Reader::new(scaled) })
    }

    /// An update as it is usually written; None for every other frame.
    fn read(&self, frame: &[u8]) -> Option<UpdateRow> {
        let update = self.reader.update(frame)?;
        let (bids, asks) = (Levels { levels: update.bids }, Levels { levels: update.asks });
        Some((update.symbol, bids, asks, update.checksum, update.venue_ns))
    }
}

/// Adds the classes to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Levels>()?;
    module.add_class::<BookSide>()?;
    module.add_class::<BookSides>()?;
    module.add_class::<BinanceDepthReader>()?;
    module.add_class::<KrakenBookReader>()
}
