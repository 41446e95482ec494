// Package table keeps rows in one table of Azure Table Storage.
//
// Entities go in and out, with a Receipt that tells the service's clock. Errors
// wrap those of package store. Any other error is a bug of the program, and nothing
// happened. A table that does not exist is created at its first use.
//
// It sets no retries: the client's options do. A retry can meet its own first write. So
// ErrExists or ErrChanged may follow a success whose answer was lost.
//
// Source: Table service REST API, version 2019-02-02, as aztables v1.4.1 speaks it.
package table

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"regexp"
	"strconv"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/limits"
	"github.com/posthorn/posthorn/handler/store/sdk"
)

// Table is one table. It is safe for concurrent use.
type Table struct {
	client  *aztables.Client
	passing bool // it is one of a Series
}

// Open connects to the table called name at an account's table endpoint, such as
// https://ACCOUNT.table.core.windows.net. It makes no call.
func Open(endpoint, name string, cred azcore.TokenCredential, opts *aztables.ClientOptions) (*Table, error) {
	if err := sdk.CheckEndpoint(endpoint); err != nil {
		return nil, err
	}
	service, err := aztables.NewServiceClient(endpoint, cred, opts)
	if err != nil {
		return nil, sdk.Translate("open table", err)
	}
	return &Table{client: service.NewClient(name)}, nil
}

// Create makes the table; that it exists is no error.
func (t *Table) Create(ctx context.Context) error {
	_, err := t.client.CreateTable(ctx, nil)
	if sdk.Code(err) == string(aztables.TableAlreadyExists) {
		return nil
	}
	return sdk.Translate("create table", err)
}

// What makes a table that is not there yet.
const insertRow, insertRows = "insert row", "insert rows"

// Insert stores a new row. ErrExists if there is one with its keys.
func (t *Table) Insert(ctx context.Context, e store.Entity) (store.Receipt, error) {
	body, err := encode(e)
	if err != nil {
		return store.Receipt{}, err
	}
	// Without this the service sends the whole row back.
	ctx = policy.WithHTTPHeader(ctx, http.Header{"Prefer": {"return-no-content"}})
	return t.call(ctx, insertRow, func(ctx context.Context) (azcore.ETag, error) {
		answer, err := t.client.AddEntity(ctx, body, nil)
		return answer.ETag, err
	})
}

// Get reads a row. ErrMissing without a row; the Receipt then has the time.
func (t *Table) Get(ctx context.Context, partition, row string) (store.Entity, store.Receipt, error) {
	if err := limits.Keys(partition, row); err != nil {
		return store.Entity{}, store.Receipt{}, err
	}
	var body []byte
	receipt, err := t.call(ctx, "get row", func(ctx context.Context) (azcore.ETag, error) {
		answer, err := t.client.GetEntity(ctx, partition, row, nil)
		body = answer.Value
		return answer.ETag, err
	})
	if err != nil {
		return store.Entity{}, receipt, err
	}
	e, err := decode(body)
	if err != nil {
		return store.Entity{}, receipt, err
	}
	e.ETag = receipt.ETag
	return e, receipt, nil
}

// Replace stores e in place of the whole row, if that still has e's ETag or e has
// none. ErrChanged if it has another one, ErrMissing if there is no row.
func (t *Table) Replace(ctx context.Context, e store.Entity) (store.Receipt, error) {
	body, err := encode(e)
	if err != nil {
		return store.Receipt{}, err
	}
	return t.call(ctx, "replace row", func(ctx context.Context) (azcore.ETag, error) {
		answer, err := t.client.UpdateEntity(ctx, body, &aztables.UpdateEntityOptions{
			IfMatch: condition(e.ETag), UpdateMode: aztables.UpdateModeReplace,
		})
		return answer.ETag, err
	})
}

// Delete removes a row, on the same condition and with the same errors as Replace.
func (t *Table) Delete(ctx context.Context, partition, row string, etag store.ETag) error {
	if err := limits.Keys(partition, row); err != nil {
		return err
	}
	_, err := t.call(ctx, "delete row", func(ctx context.Context) (azcore.ETag, error) {
		_, err := t.client.DeleteEntity(ctx, partition, row, &aztables.DeleteEntityOptions{IfMatch: condition(etag)})
		return "", err
	})
	return err
}

// Transact carries out all actions or none, on rows of one partition, each row once. The
// service takes at most 100 actions and 4 MiB. An error is the one of the first action that
// failed, as Insert, Replace and Delete give it. Then nothing has changed.
func (t *Table) Transact(ctx context.Context, actions ...store.Action) (store.Receipt, error) {
	if err := limits.Transaction(actions); err != nil {
		return store.Receipt{}, err
	}
	parts := make([]aztables.TransactionAction, len(actions))
	for i, a := range actions {
		body, err := encode(a.Entity)
		if err != nil {
			return store.Receipt{}, err
		}
		parts[i] = aztables.TransactionAction{ActionType: verbs[a.Verb], Entity: body, IfMatch: condition(a.Entity.ETag)}
	}
	doing := "transaction"
	if actions[0].Verb == store.InsertRow {
		doing = insertRows
	}
	return t.call(ctx, doing, func(ctx context.Context) (azcore.ETag, error) {
		_, err := t.client.SubmitTransaction(ctx, parts, nil)
		return "", reason(err)
	})
}

// Without an ETag a replace is one on the condition `*`, which is no insert.
var verbs = map[store.Verb]aztables.TransactionType{
	store.InsertRow: aztables.TransactionTypeAdd, store.ReplaceRow: aztables.TransactionTypeUpdateReplace, store.DeleteRow: aztables.TransactionTypeDelete,
}

var failedAction = regexp.MustCompile(`(?s)HTTP/1\.1 (\d{3}) .*"code":\s*"(\w+)"`)

// reason finds what the failed action of a transaction was told. The service's answer is
// 202, and the SDK reads no code from what is in it.
func reason(err error) error {
	r, ok := errors.AsType[*azcore.ResponseError](err)
	if !ok || r.StatusCode != http.StatusAccepted {
		return err
	}
	body, bodyErr := runtime.Payload(r.RawResponse)
	found := failedAction.FindSubmatch(body)
	if bodyErr != nil || found == nil {
		return err
	}
	status, _ := strconv.Atoi(string(found[1]))
	return &azcore.ResponseError{ErrorCode: string(found[2]), StatusCode: status, RawResponse: r.RawResponse}
}

// List reads all rows of a partition in the order of their row keys. It is no
// snapshot: pages of 1,000 are read one after another.
func (t *Table) List(ctx context.Context, partition string) ([]store.Entity, error) {
	if err := limits.Keys(partition, "all"); err != nil {
		return nil, err
	}
	return t.query(ctx, "PartitionKey eq '"+partition+"'", math.MaxInt)
}

// ListRows reads at most n rows of a partition in the order of their row keys: the first
// after a row key, which need not be there and may be empty, as long as they come before
// another. It is no snapshot.
func (t *Table) ListRows(ctx context.Context, partition, after, before string, n int) ([]store.Entity, error) {
	if err := limits.Rows(partition, after, before); err != nil {
		return nil, err
	}
	return t.query(ctx, "PartitionKey eq '"+partition+"' and RowKey gt '"+after+"' and RowKey lt '"+before+"'", n)
}

// ListBefore reads at most n rows in the order of their keys: the first after a
// key, which need not be there and whose row may be empty, as long as their
// partitions come before a partition. Keys are compared byte by byte. It is no
// snapshot.
func (t *Table) ListBefore(ctx context.Context, after store.Key, partition string, n int) ([]store.Entity, error) {
	if err := limits.Range(after, partition); err != nil {
		return nil, err
	}
	// Two questions, since one with an `or` makes the service read the whole table.
	var rows []store.Entity
	if after.Row != "" {
		var err error
		rows, err = t.query(ctx, "PartitionKey eq '"+after.Partition+"' and RowKey gt '"+after.Row+"'", n)
		if err != nil || len(rows) == n {
			return rows, err
		}
	}
	from := "gt"
	if after.Row == "" {
		from = "ge"
	}
	more, err := t.query(ctx, "PartitionKey "+from+" '"+after.Partition+"' and PartitionKey lt '"+partition+"'", n-len(rows))
	if err != nil {
		return nil, err
	}
	return append(rows, more...), nil
}

// query reads the first n rows of a filter. Keys have no quotes, so that a filter
// may be put together from them.
func (t *Table) query(ctx context.Context, filter string, n int) ([]store.Entity, error) {
	const page = 1000 // the most that the service gives at once
	var bodies [][]byte
	_, err := t.call(ctx, "list rows", func(ctx context.Context) (azcore.ETag, error) {
		bodies = nil
		pages := t.client.NewListEntitiesPager(&aztables.ListEntitiesOptions{Filter: &filter, Top: new(int32(min(n, page)))})
		for pages.More() && len(bodies) < n {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return "", err
			}
			bodies = append(bodies, page.Entities...)
		}
		return "", nil
	})
	if errors.Is(err, store.ErrMissing) { // the table itself
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	rows := make([]store.Entity, min(n, len(bodies)))
	for i, body := range bodies[:len(rows)] {
		if rows[i], err = decode(body); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// call adds to one call of the SDK what all need: the table's creation, the
// errors of package store, the service's clock.
func (t *Table) call(ctx context.Context, doing string, do func(context.Context) (azcore.ETag, error)) (store.Receipt, error) {
	var answer *http.Response
	var etag azcore.ETag
	err := sdk.Do(policy.WithCaptureResponse(ctx, &answer), doing, t.create(doing), func(ctx context.Context) (err error) {
		etag, err = do(ctx)
		return err
	})
	if err != nil && !errors.Is(err, store.ErrExists) && !errors.Is(err, store.ErrMissing) && !errors.Is(err, store.ErrChanged) {
		return store.Receipt{}, err
	}
	// No promise about time can be kept without the service's clock, so an answer
	// that does not tell it is no answer.
	date, dateErr := http.ParseTime(answer.Header.Get("Date"))
	if dateErr != nil {
		return store.Receipt{}, fmt.Errorf("%s: %w: answer without a date", doing, store.ErrUnavailable)
	}
	return store.Receipt{ETag: store.ETag(etag), Time: date.UTC()}, err
}

func condition(etag store.ETag) *azcore.ETag {
	if etag == "" {
		return new(azcore.ETagAny)
	}
	return new(azcore.ETag(etag))
}
