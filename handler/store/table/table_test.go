package table_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"github.com/posthorn/posthorn/handler/local/azurite/azuritetest"
	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/table"
)

// service answers every request alike.
type service struct {
	status int
	header http.Header
	body   io.Reader
	err    error
}

func (s service) Do(r *http.Request) (*http.Response, error) {
	if s.err != nil {
		return nil, s.err
	}
	return &http.Response{StatusCode: s.status, Header: s.header, Body: io.NopCloser(s.body), Request: r}, nil
}

func open(t *testing.T, s policy.Transporter) *table.Table {
	t.Helper()
	rows, err := table.Open("https://account.table.core.windows.net", "rows", azuritetest.Credential{}, &aztables.ClientOptions{
		ClientOptions: azcore.ClientOptions{Transport: s, Retry: policy.RetryOptions{MaxRetries: -1}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestReceipt(t *testing.T) {
	t.Parallel()
	const date = "Mon, 23 Nov 2026 14:05:06 GMT"
	const row = `{"odata.etag":"W/\"1\"","PartitionKey":"p","RowKey":"r","Timestamp":"2026-11-23T14:05:06.1234567Z","n@odata.type":"Edm.Int64","n":"7"}`
	clock := time.Date(2026, time.November, 23, 14, 5, 6, 0, time.UTC)
	head := func(date, code string) http.Header {
		return http.Header{"Date": {date}, "Etag": {`W/"1"`}, "X-Ms-Error-Code": {code}}
	}
	for name, c := range map[string]struct {
		service service
		want    error
		receipt store.Receipt
	}{
		"found":              {service{200, head(date, ""), strings.NewReader(row), nil}, nil, store.Receipt{ETag: `W/"1"`, Time: clock}},
		"missing":            {service{404, head(date, "ResourceNotFound"), strings.NewReader(""), nil}, store.ErrMissing, store.Receipt{Time: clock}},
		"exists":             {service{409, head(date, "EntityAlreadyExists"), strings.NewReader(""), nil}, store.ErrExists, store.Receipt{Time: clock}},
		"changed":            {service{412, head(date, "UpdateConditionNotSatisfied"), strings.NewReader(""), nil}, store.ErrChanged, store.Receipt{Time: clock}},
		"busy":               {service{503, head(date, "ServerBusy"), strings.NewReader(""), nil}, store.ErrUnavailable, store.Receipt{}},
		"found, no date":     {service{200, http.Header{}, strings.NewReader(row), nil}, store.ErrUnavailable, store.Receipt{}},
		"missing, odd date":  {service{404, head("yesterday", "ResourceNotFound"), strings.NewReader(""), nil}, store.ErrUnavailable, store.Receipt{}},
		"answer breaks off":  {service{200, head(date, ""), io.MultiReader(strings.NewReader(row[:20]), broken{}), nil}, store.ErrUnavailable, store.Receipt{}},
		"connection refused": {service{err: errors.New("connection refused")}, store.ErrUnavailable, store.Receipt{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, receipt, err := open(t, c.service).Get(t.Context(), "p", "r")
			if !errors.Is(err, c.want) || receipt != c.receipt {
				t.Errorf("receipt %+v, error %v; want %+v, %v", receipt, err, c.receipt, c.want)
			}
			if found := e.Values["n"] == int64(7); found != (c.want == nil) {
				t.Errorf("entity %+v", e)
			}
		})
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestRowOfAnotherProgram(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"a type that rows do not hold": `{"PartitionKey":"p","RowKey":"r","v":1.5}`,
		"not JSON":                     `{`,
		"a number that is none":        `{"PartitionKey":"p","RowKey":"r","v@odata.type":"Edm.Int64","v":"seven"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer := service{200, http.Header{"Date": {"Mon, 23 Nov 2026 14:05:06 GMT"}}, strings.NewReader(body), nil}
			e, _, err := open(t, answer).Get(t.Context(), "p", "r")
			if err == nil || e.Values != nil {
				t.Errorf("entity %+v, error %v", e, err)
			}
		})
	}
}

func TestOpenRefusesAnEndpointWithoutTLS(t *testing.T) {
	t.Parallel()
	if _, err := table.Open("http://account.table.core.windows.net", "rows", azuritetest.Credential{}, nil); err == nil {
		t.Error("no error")
	}
}

// The answers are like those in "Performing entity group transactions" of the REST reference.
func TestTransactionThatFails(t *testing.T) {
	t.Parallel()
	const date = "Mon, 23 Nov 2026 14:05:06 GMT"
	failed := func(status, code string) string {
		return strings.ReplaceAll("--batchresponse_1\nContent-Type: multipart/mixed; boundary=changesetresponse_2\n\n--changesetresponse_2\n"+
			"Content-Type: application/http\nContent-Transfer-Encoding: binary\n\nHTTP/1.1 "+status+"\n"+
			"Content-Type: application/json;odata=minimalmetadata;streaming=true;charset=utf-8\n\n"+
			`{"odata.error":{"code":"`+code+`","message":{"lang":"en-us","value":"1:A sentence about \"code\".\nRequestId:3"}}}`+"\n"+
			"--changesetresponse_2--\n--batchresponse_1--\n", "\n", "\r\n")
	}
	for name, c := range map[string]struct {
		status int
		body   string
		want   error
	}{
		"a row that is there":    {202, failed("409 Conflict", "EntityAlreadyExists"), store.ErrExists},
		"a row that is not":      {202, failed("404 Not Found", "ResourceNotFound"), store.ErrMissing},
		"a row that has changed": {202, failed("412 Precondition Failed", "UpdateConditionNotSatisfied"), store.ErrChanged},
		"throttled":              {202, failed("503 Service Unavailable", "ServerBusy"), store.ErrUnavailable},
		"an answer of no form":   {202, "--b\r\n\r\n--c\r\n\r\nHTTP/1.1 409 Conflict\r\n\r\n\r\n--c--\r\n--b--\r\n", store.ErrUnavailable},
		"busy as a whole":        {503, `{"odata.error":{"code":"ServerBusy"}}`, store.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rows := open(t, service{c.status, http.Header{"Date": {date}}, strings.NewReader(c.body), nil})
			receipt, err := rows.Transact(t.Context(), store.Delete("p", "r", ""), store.Delete("p", "s", ""))
			if !errors.Is(err, c.want) || receipt.Time.IsZero() != errors.Is(c.want, store.ErrUnavailable) {
				t.Errorf("receipt %+v, error %v; want %v", receipt, err, c.want)
			}
		})
	}
	rows := open(t, service{202, http.Header{"Date": {date}}, strings.NewReader(failed("400 Bad Request", "InvalidInput")), nil})
	if _, err := rows.Transact(t.Context(), store.Delete("p", "r", "")); err == nil || errors.Is(err, store.ErrUnavailable) {
		t.Errorf("error %v, want one that no repetition mends", err)
	}
}

// fresh has no table until one is created.
type fresh struct{ created bool }

func (f *fresh) Do(r *http.Request) (*http.Response, error) {
	answer := service{201, http.Header{"Date": {"Mon, 23 Nov 2026 14:05:06 GMT"}}, strings.NewReader(`{"TableName":"rows"}`), nil}
	if strings.HasSuffix(r.URL.Path, "/Tables") {
		f.created = true
		return answer.Do(r)
	}
	inner := "HTTP/1.1 204 No Content\r\n\r\n\r\n"
	if !f.created {
		inner = "HTTP/1.1 404 Not Found\r\n\r\n" + `{"odata.error":{"code":"TableNotFound"}}` + "\r\n"
	}
	answer.status = 202
	answer.body = strings.NewReader("--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\n" + inner + "--c--\r\n--b--\r\n")
	return answer.Do(r)
}

func TestTransactionCreatesTheTable(t *testing.T) {
	t.Parallel()
	var f fresh
	_, err := open(t, &f).Transact(t.Context(), store.Insert(store.Entity{Partition: "p", Row: "r"}))
	if err != nil || !f.created {
		t.Errorf("error %v, created %t", err, f.created)
	}
}
