package table

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/limits"
)

// encode writes e as the service's JSON, whose annotations carry the types that
// JSON does not have.
func encode(e store.Entity) ([]byte, error) {
	if err := limits.Entity(e); err != nil {
		return nil, err
	}
	row := aztables.EDMEntity{
		Entity:     aztables.Entity{PartitionKey: e.Partition, RowKey: e.Row},
		Properties: make(map[string]any, len(e.Values)),
	}
	for name, v := range e.Values {
		switch v := v.(type) {
		case int64:
			row.Properties[name] = aztables.EDMInt64(v)
		case []byte:
			row.Properties[name] = aztables.EDMBinary(v)
		case time.Time:
			// The SDK writes a Z after whatever the clock shows.
			row.Properties[name] = aztables.EDMDateTime(v.UTC())
		default:
			row.Properties[name] = v
		}
	}
	return json.Marshal(row)
}

func decode(body []byte) (store.Entity, error) {
	var row aztables.EDMEntity
	if err := json.Unmarshal(body, &row); err != nil {
		return store.Entity{}, errors.New("row cannot be read")
	}
	e := store.Entity{
		Partition: row.PartitionKey,
		Row:       row.RowKey,
		ETag:      store.ETag(row.ETag),
		Values:    make(map[string]any, len(row.Properties)),
	}
	for name, v := range row.Properties {
		switch v := v.(type) {
		case string, bool:
			e.Values[name] = v
		case aztables.EDMInt64:
			e.Values[name] = int64(v)
		case aztables.EDMBinary:
			e.Values[name] = []byte(v)
		case aztables.EDMDateTime:
			e.Values[name] = time.Time(v)
		default:
			return store.Entity{}, fmt.Errorf("row cannot be read: value %s has the type %T", name, v)
		}
	}
	return e, nil
}
