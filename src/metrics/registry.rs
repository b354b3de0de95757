use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use metrics::{
    Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder, with_local_recorder,
};
use metrics_exporter_prometheus::{
    Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};
use metrics_process::Collector;

use super::table::{BUCKETS, Kind, METRICS, Metric};

/// Where all that is counted comes together. Handles are taken once, at the start, and cost an
/// atomic addition each time they are used; of a registry that is off they do nothing. Cheap to
/// clone.
#[derive(Clone, Debug, Default)]
pub struct Registry(Option<Arc<Inner>>);

struct Inner {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    process: Collector,
    probes: Mutex<Vec<Probe>>,
}

type Probe = Box<dyn Fn() + Send + Sync>;

impl Registry {
    /// One that counts.
    pub fn on() -> Self {
        let mut builder = PrometheusBuilder::new();
        for metric in METRICS {
            if metric.kind == Kind::Histogram {
                let name = Matcher::Full(metric.name.to_owned());
                builder = builder
                    .set_buckets_for_metric(name, BUCKETS)
                    .expect("there are buckets");
            }
        }
        let recorder = builder.build_recorder();
        for metric in METRICS {
            let (name, unit) = (metric.name.into(), Some(metric.unit));
            match metric.kind {
                Kind::Counter => recorder.describe_counter(name, unit, metric.help.into()),
                Kind::Gauge => recorder.describe_gauge(name, unit, metric.help.into()),
                Kind::Histogram => recorder.describe_histogram(name, unit, metric.help.into()),
            }
        }
        let (handle, probes) = (recorder.handle(), Mutex::default());
        let process = Collector::default();
        Self(Some(Arc::new(Inner {
            recorder,
            handle,
            process,
            probes,
        })))
    }

    /// A handle on one counter.
    ///
    /// # Panics
    /// The table says otherwise of its kind or its labels, which is a bug.
    pub fn counter(&self, metric: &'static Metric, labels: &[(&'static str, &str)]) -> Counter {
        let key = key(metric, Kind::Counter, labels);
        self.0.as_ref().map_or_else(Counter::noop, |inner| {
            inner.recorder.register_counter(&key, &METADATA)
        })
    }

    /// A handle on one gauge.
    ///
    /// # Panics
    /// The table says otherwise of its kind or its labels, which is a bug.
    pub fn gauge(&self, metric: &'static Metric, labels: &[(&'static str, &str)]) -> Gauge {
        let key = key(metric, Kind::Gauge, labels);
        self.0.as_ref().map_or_else(Gauge::noop, |inner| {
            inner.recorder.register_gauge(&key, &METADATA)
        })
    }

    /// A handle on one histogram.
    ///
    /// # Panics
    /// The table says otherwise of its kind or its labels, which is a bug.
    pub fn histogram(&self, metric: &'static Metric, labels: &[(&'static str, &str)]) -> Histogram {
        let key = key(metric, Kind::Histogram, labels);
        self.0.as_ref().map_or_else(Histogram::noop, |inner| {
            inner.recorder.register_histogram(&key, &METADATA)
        })
    }

    /// Has this called before each scrape, to set what nobody counts as it happens. It must not
    /// block.
    pub fn at_scrape(&self, probe: impl Fn() + Send + Sync + 'static) {
        if let Some(inner) = &self.0 {
            inner.probes().push(Box::new(probe));
        }
    }

    /// All of it in Prometheus' text format. Reads `/proc` and takes milliseconds when many files
    /// are open.
    pub fn render(&self) -> String {
        let Some(inner) = &self.0 else {
            return String::new();
        };
        for probe in &*inner.probes() {
            probe();
        }
        with_local_recorder(&inner.recorder, || inner.process.collect());
        inner.handle.render()
    }

    /// Puts the values that histograms were given into their buckets: until then each takes 8
    /// bytes, so somebody must ask for it now and then, scraped or not.
    pub fn sort_values(&self) {
        if let Some(inner) = &self.0 {
            inner.handle.run_upkeep();
        }
    }
}

impl Inner {
    fn probes(&self) -> std::sync::MutexGuard<'_, Vec<Probe>> {
        self.probes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}

/// Filters by level and target are not used.
static METADATA: Metadata<'static> = Metadata::new("signalcast", Level::INFO, None);

fn key(metric: &Metric, kind: Kind, labels: &[(&'static str, &str)]) -> Key {
    assert_eq!(metric.kind, kind, "bug: {}", metric.name);
    assert!(
        metric.labels.iter().eq(labels.iter().map(|(name, _)| name)),
        "bug: {} has the labels {:?}",
        metric.name,
        metric.labels
    );
    let labels: Vec<Label> = labels
        .iter()
        .map(|(name, value)| Label::new(*name, (*value).to_owned()))
        .collect();
    Key::from_parts(metric.name, labels)
}
