package pgtest

import (
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestMain(m *testing.M) { os.Exit(Main(m)) }

func TestStart(t *testing.T) {
	first, second := Start(t), Start(t)
	for _, dsn := range []string{first, second} {
		conn, err := pgx.Connect(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(t.Context())
		if _, err := conn.Exec(t.Context(), "CREATE TABLE its_own (n int)"); err != nil {
			t.Error(err)
		}
	}
}

func TestStopAndRestart(t *testing.T) {
	server := New(t)
	dsn := server.Database(t)
	for range 2 {
		server.Stop(t)
		if conn, err := pgx.Connect(t.Context(), dsn); err == nil {
			conn.Close(t.Context())
			t.Error("it is still there")
		}
		server.Restart(t)
		conn, err := pgx.Connect(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		conn.Close(t.Context())
	}
}
