package anychannel

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/f737063d/caddy-connector/datastore"
	"github.com/f737063d/caddy-connector/datastore/datastoretest"
	"github.com/f737063d/caddy-connector/internal/pgtest"
)

// eachDatabase runs a test on a new SQLite and a new PostgreSQL database, which
// open opens with these keys, as a config that is loaded does.
func eachDatabase(t *testing.T, test func(t *testing.T, open func(keys ...string) links)) {
	opener := func(t *testing.T, config datastore.DatabaseConfig) func(...string) links {
		return func(keys ...string) links {
			t.Helper()
			t.Setenv("TEST_KEYS", strings.Join(keys, " "))
			app := &datastore.App{DatabaseConfig: config, EncryptionKeys: []string{"{env.TEST_KEYS}"}}
			ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
			t.Cleanup(cancel)
			if err := app.Provision(ctx); err != nil {
				t.Fatal(err)
			}
			db, err := app.Database()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := errors.Join(app.Stop(), app.Cleanup()); err != nil {
					t.Error(err)
				}
			})
			if err := app.Start(); err != nil {
				t.Fatal(err)
			}
			datastoretest.AwaitReady(t, db)
			return links{db}
		}
	}
	t.Run("sqlite", func(t *testing.T) {
		test(t, opener(t, datastore.DatabaseConfig{Path: filepath.Join(t.TempDir(), "test.db")}))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Setenv("TEST_DATABASE", pgtest.Start(t))
		test(t, opener(t, datastore.DatabaseConfig{Driver: datastore.PostgreSQL, DSN: "{env.TEST_DATABASE}"}))
	})
}

func (l links) mustPut(t *testing.T, name, integration, metadata string) {
	t.Helper()
	if _, _, err := l.putInstance(t.Context(), &instanceChange{name, integration, stateActive, &metadata}); err != nil {
		t.Fatal(err)
	}
}

func (l links) mustLink(t *testing.T, id, instance string, agents ...string) {
	t.Helper()
	if _, err := l.putTicket(t.Context(), &ticketRow{id: id, instance: instance, agents: agents}); err != nil {
		t.Fatal(err)
	}
}

func (l links) exec(t *testing.T, query string, args ...any) {
	t.Helper()
	err := l.db.Write(t.Context(), func(ctx context.Context, tx *datastore.Tx) error {
		_, err := tx.Exec(ctx, query, args...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// sealed returns the metadata of an instance as the database has it.
func (l links) sealed(t *testing.T, name string) (sealed []byte) {
	t.Helper()
	if err := l.db.QueryRow(t.Context(), "SELECT sealed FROM connector_instances WHERE name = $1", name).Scan(&sealed); err != nil {
		t.Fatal(err)
	}
	return sealed
}

// wantMetadata checks what an agent's request gets to use.
func (l links) wantMetadata(t *testing.T, id, agent, want string) {
	t.Helper()
	found, err := l.find(t.Context(), id, agent)
	if err != nil || found.metadata.Reveal() != want {
		t.Errorf("ticket %s, %s: %q, %v, want %q", id, agent, found.metadata.Reveal(), err, want)
	}
	if printed := fmt.Sprintf("%v %+v %#v", found, found, &found); want != "" && strings.Contains(printed, want) {
		t.Errorf("printed: %s", printed)
	}
}

// Who may use which ticket, and what with.
func TestLinksContract(t *testing.T) {
	opaque := "\x00\r\n<a>\u2028👍 \ufffd&=%" + strings.Repeat("ü", 4900)
	eachDatabase(t, func(t *testing.T, open func(...string) links) {
		l := open(datastore.NewKey())
		l.mustPut(t, "omniwear", "instagram", opaque)
		l.mustPut(t, "Omniwear", "twitter", "upper")
		for id, agents := range map[string][]string{
			"1": nil, "2": {"alice"}, "3": {"bob", "carol"}, "4": {`a"b\c`, "alice@example.com"}, strings.Repeat("9", 19): nil,
		} {
			l.mustLink(t, id, "omniwear", agents...)
		}
		l.mustLink(t, "5", "Omniwear")
		for _, tc := range []struct {
			id, agent string
			want      error
		}{
			{"1", "alice", nil}, {"1", "bob", nil}, {"2", "alice", nil}, {"2", "bob", ErrNoAccess}, {"2", "Alice", ErrNoAccess}, {"2", "alice ", ErrNoAccess},
			{"3", "bob", nil}, {"3", "carol", nil}, {"3", "alice", ErrNoAccess}, {"4", `a"b\c`, nil}, {"4", "alice@example.com", nil}, {"4", "a", ErrNoAccess},
			{strings.Repeat("9", 19), "alice", nil}, {strings.Repeat("9", 18), "alice", ErrUnknownTicket}, {"6", "alice", ErrUnknownTicket},
		} {
			found, err := l.find(t.Context(), tc.id, tc.agent)
			if !errors.Is(err, tc.want) {
				t.Errorf("%+v: %v", tc, err)
			}
			if tc.want == nil && (found.name != "omniwear" || found.integration != "instagram") || tc.want != nil && found != (TicketInstance{}) {
				t.Errorf("%+v: %+v", tc, found)
			}
		}
		l.wantMetadata(t, "1", "alice", opaque)
		l.wantMetadata(t, "5", "alice", "upper")

		// who cannot use a ticket learns nothing of what is wrong with it
		l.exec(t, "UPDATE connector_instances SET sealed = $1", []byte("broken"))
		if _, err := l.find(t.Context(), "2", "bob"); !errors.Is(err, ErrNoAccess) {
			t.Error(err)
		}
		if _, err := l.find(t.Context(), "2", "alice"); !errors.Is(err, datastore.ErrMalformed) {
			t.Error(err)
		}
		for _, broken := range []string{"", "[]", "null", "{}", `"alice"`, `[1]`} { // never every agent
			l.exec(t, "UPDATE connector_ticket_links SET agents = $1 WHERE ticket_id = '1'", broken)
			if _, err := l.find(t.Context(), "1", "alice"); err == nil || errors.Is(err, ErrNoAccess) || !strings.Contains(err.Error(), "the agents of ticket 1") {
				t.Errorf("%q: %v", broken, err)
			}
		}
	})
}

// What is sealed for an instance and its integration is of use there alone.
func TestSealedMetadataBelongsToItsInstance(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func(...string) links) {
		l := open(datastore.NewKey())
		l.mustPut(t, "a", "instagram", "of a")
		l.mustPut(t, "b", "instagram", "of b")
		l.mustLink(t, "1", "a")
		l.mustLink(t, "2", "b")
		swapped := map[string][]byte{"a": l.sealed(t, "b"), "b": l.sealed(t, "a")}
		for name, sealed := range swapped {
			l.exec(t, "UPDATE connector_instances SET sealed = $1 WHERE name = $2", sealed, name)
		}
		for _, id := range []string{"1", "2"} {
			if _, err := l.find(t.Context(), id, "alice"); !errors.Is(err, datastore.ErrNotAuthentic) {
				t.Errorf("swapped: %v", err)
			}
		}
		l.mustPut(t, "a", "instagram", "of a")
		l.exec(t, "UPDATE connector_instances SET integration = 'evil' WHERE name = 'a'")
		if _, err := l.find(t.Context(), "1", "alice"); !errors.Is(err, datastore.ErrNotAuthentic) {
			t.Errorf("of another integration: %v", err)
		}
		if n, err := sealedMetadata.Reencrypt(t.Context(), l.db, mustRing(t, l)); n != 0 || err != nil {
			t.Errorf("%d, %v", n, err) // they are sealed with the first key
		}
	})
}

func mustRing(t *testing.T, l links) *datastore.KeyRing {
	t.Helper()
	ring, err := l.db.KeyRing()
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// With both keys, everything is sealed with the new one, in more than one batch;
// then the old one is not needed.
func TestReencrypt(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func(...string) links) {
		first, second := datastore.NewKey(), datastore.NewKey()
		l := open(first)
		name := func(i int) string { return fmt.Sprintf("i%04d", i) }
		for i := range datastore.ReencryptBatch + 2 {
			l.mustPut(t, name(i), "instagram", "of "+name(i))
		}
		l.mustLink(t, "1", name(0))
		l.mustLink(t, "2", name(datastore.ReencryptBatch))
		l = open(second, first)
		l.wantMetadata(t, "1", "alice", "of "+name(0))
		l.mustPut(t, name(0), "instagram", "again") // sealed with the second
		for _, want := range []int{datastore.ReencryptBatch + 1, 0} {
			if n, err := sealedMetadata.Reencrypt(t.Context(), l.db, mustRing(t, l)); n != want || err != nil {
				t.Fatalf("%d, %v, want %d", n, err, want)
			}
		}
		l.exec(t, "DELETE FROM connector_keys") // as the admin API's rotation does with the old ones
		l = open(second)
		l.wantMetadata(t, "1", "alice", "again")
		l.wantMetadata(t, "2", "alice", "of "+name(datastore.ReencryptBatch))

		l = open(first, second)
		l.exec(t, "UPDATE connector_instances SET integration = 'evil' WHERE name = $1", name(3))
		if n, err := sealedMetadata.Reencrypt(t.Context(), l.db, mustRing(t, l)); n != 0 || !errors.Is(err, datastore.ErrNotAuthentic) || !strings.Contains(err.Error(), name(3)) {
			t.Errorf("what no key opens: %d, %v", n, err)
		}
	})
}

// Lists are sorted as bytes, and pages cover each entry once.
func TestLinksPages(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func(...string) links) {
		l := open(datastore.NewKey())
		names := []string{"-a", ".b", "A", "B", "_", "a", "a.b", "a_b", "b"}
		ids := []string{"1", "10", "100", "2", "3", "9"}
		for _, name := range names {
			l.mustPut(t, name, "instagram", "x")
		}
		for _, id := range ids {
			l.mustLink(t, id, "a")
			l.mustLink(t, "7"+id, "b")
		}
		for limit := 1; limit <= len(names)+1; limit++ {
			var got []string
			for p, more := (page{limit: limit}), true; more; {
				var found []*instanceRow
				var err error
				if found, more, err = l.instances(t.Context(), p); err != nil || len(found) == 0 || len(found) > limit {
					t.Fatal(len(found), err)
				}
				for _, i := range found {
					got = append(got, i.name)
				}
				p.after = got[len(got)-1]
			}
			if !slices.Equal(got, names) {
				t.Errorf("limit %d: %q", limit, got)
			}
		}
		for limit := 1; limit <= len(ids)+1; limit++ {
			var got []string
			for p, more := (page{limit: limit}), true; more; {
				var found []*ticketRow
				var err error
				if found, more, err = l.tickets(t.Context(), "a", p); err != nil || len(found) == 0 || len(found) > limit {
					t.Fatal(len(found), err)
				}
				for _, i := range found {
					got = append(got, i.id)
				}
				p.after = got[len(got)-1]
			}
			if !slices.Equal(got, ids) {
				t.Errorf("limit %d: %q", limit, got)
			}
		}
	})
}

// Changes of the same things at the same time end in one of them, without errors
// but that there is no instance, and no link outlives its instance.
func TestLinksInACrowd(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func(...string) links) {
		l := open(datastore.NewKey())
		l.mustPut(t, "a", "instagram", "x")
		metadata := "x"
		var all sync.WaitGroup
		for worker := range 8 {
			all.Go(func() {
				for i := range 15 {
					var err error
					switch (worker + i) % 4 {
					case 0:
						_, _, err = l.putInstance(t.Context(), &instanceChange{"a", "instagram", stateActive, &metadata})
					case 1:
						err = l.deleteInstance(t.Context(), "a")
					case 2:
						_, err = l.putTicket(t.Context(), &ticketRow{id: fmt.Sprint(i%3 + 1), instance: "a"})
					case 3:
						_, err = l.find(t.Context(), fmt.Sprint(i%3+1), "alice")
					}
					if err != nil && !errors.Is(err, errInstanceUnknown) && !errors.Is(err, errInstanceMissing) && !errors.Is(err, ErrUnknownTicket) {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		if err := l.deleteInstance(t.Context(), "a"); err != nil && !errors.Is(err, errInstanceUnknown) {
			t.Error(err)
		}
		var left int
		if err := l.db.QueryRow(t.Context(), "SELECT count(*) FROM connector_ticket_links").Scan(&left); err != nil || left != 0 {
			t.Errorf("%d links are left, %v", left, err)
		}
	})
}

// Each lookup is by indexes alone.
func TestLookupIsIndexed(t *testing.T) {
	l := links{}
	eachDatabase(t, func(t *testing.T, open func(...string) links) {
		if l = open(datastore.NewKey()); l.db.Dialect() != datastore.SQLite {
			t.Skip("PostgreSQL scans small tables")
		}
		for _, query := range []string{
			findQuery, "SELECT " + ticketColumns + " FROM connector_ticket_links WHERE instance = $1 AND ticket_id > $2 ORDER BY ticket_id LIMIT $3",
		} {
			rows, err := l.db.Query(t.Context(), "EXPLAIN QUERY PLAN "+query, "a", "1", 1)
			if err != nil {
				t.Fatal(err)
			}
			defer rows.Close()
			for rows.Next() {
				var a, b, c int
				var step string
				if err := rows.Scan(&a, &b, &c, &step); err != nil || !strings.HasPrefix(step, "SEARCH") {
					t.Errorf("%s: %s, %v", query, step, err)
				}
			}
		}
	})
}

// A server that is away, or hangs, is told apart from a ticket that is unknown.
func TestLookupWithoutDatabase(t *testing.T) {
	server := pgtest.New(t)
	t.Setenv("TEST_DATABASE", server.Database(t))
	t.Setenv("TEST_KEYS", datastore.NewKey())
	app := &datastore.App{DatabaseConfig: datastore.DatabaseConfig{Driver: datastore.PostgreSQL, DSN: "{env.TEST_DATABASE}"}, EncryptionKeys: []string{"{env.TEST_KEYS}"}}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	defer cancel()
	if err := app.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	db, err := app.Database()
	if err != nil {
		t.Fatal(err)
	}
	defer app.Cleanup()
	source := &DatabaseTickets{links{db}}
	if _, err := source.Instance(t.Context(), "1", "alice"); !errors.Is(err, datastore.ErrNotReady) {
		t.Errorf("before the start: %v", err)
	}
	if err := app.Start(); err != nil {
		t.Fatal(err)
	}
	defer app.Stop()
	datastoretest.AwaitReady(t, db)
	if _, err := source.Instance(t.Context(), "1", "alice"); !errors.Is(err, ErrUnknownTicket) {
		t.Error(err)
	}
	// somebody locks the table
	locked, release := make(chan struct{}), make(chan struct{})
	var locking sync.WaitGroup
	locking.Go(func() {
		_ = db.Write(t.Context(), func(ctx context.Context, tx *datastore.Tx) error {
			_, err := tx.Exec(ctx, "LOCK TABLE connector_ticket_links")
			close(locked)
			<-release
			return err
		})
	})
	<-locked
	started := time.Now()
	_, err = source.Instance(t.Context(), "1", "alice")
	var timeout interface{ Timeout() bool }
	if !errors.As(err, &timeout) || !timeout.Timeout() || errors.Is(err, datastore.ErrNotReady) || time.Since(started) < lookupTimeout {
		t.Errorf("after %v: %v", time.Since(started), err)
	}
	close(release)
	locking.Wait()
	server.Stop(t)
	if _, err := source.Instance(t.Context(), "1", "alice"); !errors.Is(err, datastore.ErrNotReady) {
		t.Errorf("without a server: %v", err)
	}
}
