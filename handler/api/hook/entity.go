package hook

import (
	"encoding/json"
	"fmt"

	"github.com/posthorn/posthorn/handler/store"
)

// pack makes the row of a hook.
func pack(h Hook) (store.Entity, error) {
	generations, err := json.Marshal(h.Generations)
	if err != nil {
		return store.Entity{}, fmt.Errorf("encode generations: %w", err)
	}
	e := store.Entity{Partition: partition, Row: h.Name, Values: map[string]any{
		"policy": string(store.JSON(h.Policy)), "generations": string(generations), "last": h.last, "began": h.began,
		"subject": h.Template.Subject, "text": h.Template.Text, "html": h.Template.HTML,
	}}
	if h.sealed != nil {
		e.Values["secret"] = h.sealed
	}
	if h.Pause != nil {
		pause, err := json.Marshal(h.Pause)
		if err != nil {
			return store.Entity{}, fmt.Errorf("encode pause: %w", err)
		}
		e.Values["pause"] = string(pause)
	}
	if h.wanted {
		e.Values["secretWanted"] = true
	}
	if len(h.Made) > 0 {
		made, err := json.Marshal(h.Made)
		if err != nil {
			return store.Entity{}, fmt.Errorf("encode dates: %w", err)
		}
		e.Values["made"] = string(made)
	}
	return e, nil
}

func unpack(e store.Entity) (Hook, error) {
	h := Hook{Name: e.Row, etag: e.ETag}
	policy, _ := e.Values["policy"].(string)
	if err := json.Unmarshal([]byte(policy), &h.Policy); err != nil {
		return Hook{}, fmt.Errorf("decode policy of hook %s: %w", e.Row, err)
	}
	generations, _ := e.Values["generations"].(string)
	if err := json.Unmarshal([]byte(generations), &h.Generations); err != nil {
		return Hook{}, fmt.Errorf("decode generations of hook %s: %w", e.Row, err)
	}
	h.last, _ = e.Values["last"].(int64)
	h.began, _ = e.Values["began"].(int64)
	h.Template.Subject, _ = e.Values["subject"].(string)
	h.Template.Text, _ = e.Values["text"].(string)
	h.Template.HTML, _ = e.Values["html"].(string)
	h.sealed, _ = e.Values["secret"].([]byte)
	if pause, ok := e.Values["pause"].(string); ok {
		if err := json.Unmarshal([]byte(pause), &h.Pause); err != nil {
			return Hook{}, fmt.Errorf("decode pause of hook %s: %w", e.Row, err)
		}
	}
	h.wanted, _ = e.Values["secretWanted"].(bool)
	if made, ok := e.Values["made"].(string); ok {
		if err := json.Unmarshal([]byte(made), &h.Made); err != nil {
			return Hook{}, fmt.Errorf("decode dates of hook %s: %w", e.Row, err)
		}
	}
	return h, nil
}
