package azure

import (
	"context"
	"net/http"
	"time"
)

// Topic is an Event Grid system topic: what happens at its source.
type Topic struct {
	ID       ID `json:"id"`
	Identity struct {
		Type        string `json:"type"`        // SystemAssigned, UserAssigned, both with a comma, None
		PrincipalID string `json:"principalId"` // of the system-assigned one; empty without it
	} `json:"identity"`
	Properties struct {
		Source ID     `json:"source"`
		State  string `json:"provisioningState"`
	} `json:"properties"`
}

// EventSubscription says where events of a topic go.
type EventSubscription struct {
	ID         ID `json:"id"`
	Properties struct {
		State        string        `json:"provisioningState"`
		Plain        *EventStorage `json:"destination"` // with the rights of the topic's own key
		WithIdentity struct {
			Destination *EventStorage `json:"destination"`
		} `json:"deliveryWithResourceIdentity"`
		DeadLetterPlain *EventStorage `json:"deadLetterDestination"`
		DeadLetter      struct {
			Destination *EventStorage `json:"deadLetterDestination"`
		} `json:"deadLetterWithResourceIdentity"`
		Filter struct {
			Types []string `json:"includedEventTypes"`
		} `json:"filter"`
	} `json:"properties"`
}

// EventStorage is a queue, or a container of blobs.
type EventStorage struct {
	Type       string `json:"endpointType"` // StorageQueue, StorageBlob, WebHook, …
	Properties struct {
		Account   ID     `json:"resourceId"`
		Queue     string `json:"queueName"`
		Container string `json:"blobContainerName"`
	} `json:"properties"`
}

// Destination is where events go; nil if it is not known.
func (s EventSubscription) Destination() *EventStorage {
	if to := s.Properties.WithIdentity.Destination; to != nil {
		return to
	}
	return s.Properties.Plain
}

// Topics are the system topics of a subscription.
func (c *Client) Topics(ctx context.Context, subscription string) ([]Topic, error) {
	return inSubscription[Topic](ctx, c, "list the Event Grid system topics", subscription, "Microsoft.EventGrid/systemTopics", versionEventGrid)
}

// EventSubscriptions are those of a topic.
func (c *Client) EventSubscriptions(ctx context.Context, topic ID) ([]EventSubscription, error) {
	return list[EventSubscription](ctx, c, request{
		what: "list the event subscriptions of " + topic.Name(), path: string(topic) + "/eventSubscriptions", version: versionEventGrid,
	})
}

// DeadLettered counts the events of a topic that no destination took, between two times.
func (c *Client) DeadLettered(ctx context.Context, topic ID, from, to time.Time) (int, error) {
	var answer struct {
		Value []struct {
			Series []struct {
				Data []struct {
					Total float64 `json:"total"`
				} `json:"data"`
			} `json:"timeseries"`
		} `json:"value"`
	}
	_, err := c.call(ctx, request{
		what: "read the dead letters of " + topic.Name(), method: http.MethodGet,
		path: string(topic) + "/providers/Microsoft.Insights/metrics", version: versionMetrics,
		query: map[string]string{
			"metricnames": "DeadLetteredCount", "aggregation": "Total", "interval": "P1D",
			"timespan": from.UTC().Format(time.RFC3339) + "/" + to.UTC().Format(time.RFC3339),
		},
	}, &answer)
	count := 0.0
	for _, v := range answer.Value {
		for _, s := range v.Series {
			for _, d := range s.Data {
				count += d.Total
			}
		}
	}
	return int(count), err
}
