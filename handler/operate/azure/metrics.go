package azure

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const versionMetrics = "2023-10-01"

// MetricsKept is how long Azure keeps platform metrics.
// Source: learn.microsoft.com, "Azure Monitor Metrics overview", retention.
const MetricsKept = 93 * 24 * time.Hour

// Grain is how much time one figure of a metric is for.
type Grain string

// Grains, as Azure names them.
const (
	Minute Grain = "PT1M"
	Hour   Grain = "PT1H"
	Day    Grain = "P1D"
)

// window is how much is asked for at once. Of more than a month Azure gives the last
// month without a word: github.com/Azure/azure-sdk-for-python issue 13547.
func (g Grain) window() time.Duration {
	if g == Minute {
		return 24 * time.Hour
	}
	return 30 * 24 * time.Hour
}

// mostSeries is how many combinations of dimensions are asked for at once; without a
// number Azure leaves out all but ten.
const mostSeries = 100

// Metric is a platform metric. Aggregation is how its figures add up: Total or Count.
type Metric struct{ Name, Aggregation string }

// EmailMetrics are those of a Communication Services resource.
type EmailMetrics struct {
	Requests   Metric // dimensions Operation, StatusCode, …
	Deliveries Metric // dimensions SenderDomain, MessageStatus, Result, IsHardBounce, …
}

// Point is the figure of one combination of dimensions at one time.
type Point struct {
	At  time.Time
	Of  map[string]string // by the dimension's name in small letters
	Sum int64             // never 0
}

// EmailMetrics asks which metrics there are. A name that the documentation gives is taken,
// or else the one that is shown in the portal.
// Source: learn.microsoft.com, "Supported metrics for Microsoft.Communication/CommunicationServices".
func (c *Client) EmailMetrics(ctx context.Context, service ID) (EmailMetrics, error) {
	const what = "list the metrics of "
	type definition struct {
		Name struct {
			Value string `json:"value"`
			Shown string `json:"localizedValue"`
		} `json:"name"`
		Primary string `json:"primaryAggregationType"`
	}
	all, err := list[definition](ctx, c, request{what: what + service.Name(), path: string(service) + "/providers/Microsoft.Insights/metricDefinitions", version: versionMetrics})
	if err != nil {
		return EmailMetrics{}, err
	}
	find := func(name, shown string) (m Metric, err error) {
		for _, d := range all {
			if strings.EqualFold(d.Name.Value, name) || m.Name == "" && strings.EqualFold(d.Name.Shown, shown) {
				m = Metric{d.Name.Value, "Total"}
				if d.Primary == "Count" {
					m.Aggregation = "Count"
				}
			}
		}
		if m.Name == "" {
			err = &Error{What: what + service.Name(), Kind: NotFound, Message: fmt.Sprintf("the resource has no metric %q", shown)}
		}
		return m, err
	}
	var m EmailMetrics
	if m.Requests, err = find("ApiRequests", "Email Service API Requests"); err != nil {
		return EmailMetrics{}, err
	}
	m.Deliveries, err = find("DeliveryStatusUpdate", "Email Service Delivery Status Updates")
	return m, err
}

// Points reads figures of a metric between two times, both in full grains. The filter
// names the dimensions: "SenderDomain eq 'example.com' and MessageStatus eq '*'".
func (c *Client) Points(ctx context.Context, service ID, m Metric, g Grain, from, to time.Time, filter string) ([]Point, error) {
	var all []Point
	for ; from.Before(to); from = from.Add(g.window()) {
		until := from.Add(g.window())
		if until.After(to) {
			until = to
		}
		points, err := c.points(ctx, service, m, map[string]string{
			"metricnames": m.Name, "aggregation": m.Aggregation, "interval": string(g), "$filter": filter, "top": strconv.Itoa(mostSeries),
			"timespan": from.UTC().Format(time.RFC3339) + "/" + until.UTC().Format(time.RFC3339),
		})
		if err != nil {
			return nil, err
		}
		all = append(all, points...)
	}
	return all, nil
}

type metricAnswer struct {
	Value []struct {
		ErrorCode    string `json:"errorCode"`
		ErrorMessage string `json:"errorMessage"`
		Series       []struct {
			Of []struct {
				Name struct {
					Value string `json:"value"`
				} `json:"name"`
				Value string `json:"value"`
			} `json:"metadatavalues"`
			Data []struct {
				At    time.Time `json:"timeStamp"`
				Total float64   `json:"total"`
				Count float64   `json:"count"`
			} `json:"data"`
		} `json:"timeseries"`
	} `json:"value"`
}

func (c *Client) points(ctx context.Context, service ID, m Metric, query map[string]string) ([]Point, error) {
	what := fmt.Sprintf("read the metric %s of %s", m.Name, service.Name())
	var a metricAnswer
	if _, err := c.call(ctx, request{what: what, method: http.MethodGet, path: string(service) + "/providers/Microsoft.Insights/metrics", version: versionMetrics, query: query}, &a); err != nil {
		return nil, err
	}
	var all []Point
	for _, v := range a.Value {
		if v.ErrorCode != "" && v.ErrorCode != "Success" {
			return nil, &Error{What: what, Kind: Refused, Code: v.ErrorCode, Message: v.ErrorMessage}
		}
		if len(v.Series) >= mostSeries {
			return nil, &Error{What: what, Kind: Refused, Message: fmt.Sprintf("it has %d or more combinations of dimensions", mostSeries)}
		}
		for _, s := range v.Series {
			of := make(map[string]string, len(s.Of))
			for _, d := range s.Of {
				of[strings.ToLower(d.Name.Value)] = d.Value
			}
			for _, d := range s.Data {
				sum := d.Total
				if m.Aggregation == "Count" {
					sum = d.Count
				}
				if sum != 0 {
					all = append(all, Point{d.At.UTC(), of, int64(sum)})
				}
			}
		}
	}
	return all, nil
}
