package wiring

import (
	"log/slog"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"

	"github.com/posthorn/posthorn/handler/decide/history"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/deliver/spool"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/store/blob"
	"github.com/posthorn/posthorn/handler/store/table"
)

func (b *builder) records() (record.Tables, error) {
	lasting, err := b.table(RecordsTable)
	if err != nil {
		return record.Tables{}, err
	}
	days, err := table.OpenSeries(b.s.TableEndpoint, RecordsTable, b.cred, &aztables.ClientOptions{ClientOptions: b.storage("table", b.tables)})
	if err != nil {
		return record.Tables{}, err
	}
	return record.Tables{Lasting: lasting, Days: days, Day: func(date string) record.Table { return days.Table(date) }}, nil
}

func (b *builder) index(log *slog.Logger) (*history.Index, error) {
	days, err := table.OpenSeries(b.s.TableEndpoint, HistoryTables, b.cred, &aztables.ClientOptions{ClientOptions: b.storage("table", b.tables)})
	if err != nil {
		return nil, err
	}
	tables := history.Tables{Days: days, Day: func(date string) history.Table { return days.Table(date) }}
	return history.New(tables, b.history()+mail.MaxWait, log), nil
}

// history is how long it is known what became of a message.
func (b *builder) history() time.Duration { return time.Duration(b.s.HistoryDays) * 24 * time.Hour }

func (b *builder) spool() (*spool.Spool, error) {
	messages, err := blob.Open(b.s.BlobEndpoint, MessagesContainer, b.cred, time.Now, blob.Options{Client: &service.ClientOptions{ClientOptions: b.storage("blob")}, Checksum: blob.Checksum(b.s.StorageChecksum)})
	if err != nil {
		return nil, err
	}
	entries, err := b.table(QueueTable)
	if err != nil {
		return nil, err
	}
	dead, err := b.table(DeadLettersTable)
	if err != nil {
		return nil, err
	}
	wakeUps, err := b.queue(DispatchQueue)
	if err != nil {
		return nil, err
	}
	return spool.New(messages, entries, dead, wakeUps), nil
}
