package table

import (
	"context"
	"fmt"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/sdk"
)

// Series is the tables of an account whose names have a beginning in common, and then a
// suffix of digits. They come and go whole. It is safe for concurrent use.
//
// The service takes its time to drop a table: 40 seconds, or minutes for a large one. Until
// then its name is taken, and an insert is ErrUnavailable.
type Series struct {
	service *aztables.ServiceClient
	prefix  string
}

// OpenSeries connects to the tables whose names begin with prefix. It makes no call.
func OpenSeries(endpoint, prefix string, cred azcore.TokenCredential, opts *aztables.ClientOptions) (*Series, error) {
	if err := sdk.CheckEndpoint(endpoint); err != nil {
		return nil, err
	}
	service, err := aztables.NewServiceClient(endpoint, cred, opts)
	if err != nil {
		return nil, sdk.Translate("open tables", err)
	}
	return &Series{service, prefix}, nil
}

// Table is one of the series. An insert, or a transaction that begins with one, makes it if
// it does not exist. For any other call it is empty then, and stays away: what was dropped must not come back by a read.
func (s *Series) Table(suffix string) *Table {
	return &Table{client: s.service.NewClient(s.prefix + suffix), passing: true}
}

// Create makes a table; that it exists is no error.
func (s *Series) Create(ctx context.Context, suffix string) error {
	return s.Table(suffix).Create(ctx)
}

// Drop removes a table with all its rows; that there is none is no error.
func (s *Series) Drop(ctx context.Context, suffix string) error {
	_, err := s.service.DeleteTable(ctx, s.prefix+suffix, nil)
	switch sdk.Code(err) {
	case string(aztables.TableNotFound), string(aztables.ResourceNotFound), string(aztables.TableBeingDeleted):
		return nil
	}
	return sdk.Translate("drop table", err)
}

// List returns the suffixes of the tables that exist, in order.
func (s *Series) List(ctx context.Context) ([]string, error) {
	filter := fmt.Sprintf("TableName ge '%s0' and TableName lt '%s:'", s.prefix, s.prefix) // a colon follows the digits
	var suffixes []string
	for pages := s.service.NewListTablesPager(&aztables.ListTablesOptions{Filter: &filter}); pages.More(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, sdk.Translate("list tables", err)
		}
		for _, t := range page.Tables {
			suffixes = append(suffixes, strings.TrimPrefix(*t.Name, s.prefix))
		}
	}
	return suffixes, nil
}

// create makes the table of a call that has found none. What passes is made by inserts
// alone.
func (t *Table) create(doing string) func(context.Context) error {
	if !t.passing || doing == insertRow || doing == insertRows {
		return t.Create
	}
	return func(context.Context) error { return fmt.Errorf("%s: %w: its table", doing, store.ErrMissing) }
}
