package azuremonitor

import (
	"math"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// metricEnvelopes makes one envelope of each data point, of the kinds that the
// SDK makes by MetricExporter.Aggregation.
func metricEnvelopes(rm *metricdata.ResourceMetrics) []envelope {
	b := metricBatch{tags: resourceTags(rm.Resource)}
	for _, scope := range rm.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch d := m.Data.(type) {
			case metricdata.Sum[int64]:
				addValues(&b, m.Name, d.DataPoints)
			case metricdata.Sum[float64]:
				addValues(&b, m.Name, d.DataPoints)
			case metricdata.Gauge[int64]:
				addValues(&b, m.Name, d.DataPoints)
			case metricdata.Gauge[float64]:
				addValues(&b, m.Name, d.DataPoints)
			case metricdata.Histogram[int64]:
				addHistograms(&b, m.Name, d.DataPoints)
			case metricdata.Histogram[float64]:
				addHistograms(&b, m.Name, d.DataPoints)
			}
		}
	}
	return b.items
}

type metricBatch struct {
	tags  map[string]string
	items []envelope
}

func addValues[N int64 | float64](b *metricBatch, name string, points []metricdata.DataPoint[N]) {
	for _, p := range points {
		b.add(p.Time, p.Attributes, metricPoint{Name: name, Value: float64(p.Value), Count: 1})
	}
}

func addHistograms[N int64 | float64](b *metricBatch, name string, points []metricdata.HistogramDataPoint[N]) {
	for _, p := range points {
		b.add(p.Time, p.Attributes, metricPoint{
			Name: name, Value: float64(p.Sum), Count: p.Count, Min: extremum(p.Min), Max: extremum(p.Max),
		})
	}
}

func extremum[N int64 | float64](e metricdata.Extrema[N]) *float64 {
	v, ok := e.Value()
	if f := float64(v); ok && finite(f) {
		return &f
	}
	return nil
}

// add leaves out a value that JSON has no word for: it would cost the whole batch.
func (b *metricBatch) add(at time.Time, attributes attribute.Set, p metricPoint) {
	if !finite(p.Value) {
		return
	}
	p.Name, p.Kind = clip(p.Name, maxName), "Aggregation"
	properties := map[string]string{}
	for _, kv := range attributes.ToSlice() {
		setProperty(properties, kv)
	}
	b.items = append(b.items, newEnvelope("Metric", "MetricData", at, b.tags, metricData{
		Ver: 2, Metrics: [1]metricPoint{p}, Properties: properties,
	}))
}

func finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }
