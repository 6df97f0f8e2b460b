package datastore

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/f737063d/caddy-connector/internal/pgtest"
)

// child is what the test's program does in a process that will be killed: it
// writes, and prints what was acknowledged.
func child(job string) {
	var config DatabaseConfig
	if err := json.Unmarshal([]byte(job), &config); err != nil {
		panic(err)
	}
	config.DSN = inEnvironment(config.DSN)
	app := &App{DatabaseConfig: config, EncryptionKeys: []string{"{env.DATASTORE_TEST_KEY}"}}
	if err := startAlone(app); err != nil {
		panic(err)
	}
	first, _ := strconv.ParseInt(os.Getenv("DATASTORE_TEST_FIRST"), 10, 64)
	var mu sync.Mutex
	var all sync.WaitGroup
	for worker := range int64(16) {
		all.Go(func() {
			for i := first + worker; ; i += 16 {
				if err := insert(context.Background(), app.db, i, "x"); err != nil {
					panic(err)
				}
				mu.Lock()
				fmt.Println(i)
				mu.Unlock()
			}
		})
	}
	all.Wait()
}

// TestKill: every write that was acknowledged before a kill -9 is there.
func TestKill(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { testKill(t, inFile(t), nil) })
	t.Run("postgres", func(t *testing.T) {
		server := pgtest.New(t)
		testKill(t, DatabaseConfig{Driver: PostgreSQL, DSN: server.Database(t)}, server)
	})
}

func testKill(t *testing.T, config DatabaseConfig, server *pgtest.Server) {
	key := testKeys()
	job, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	acknowledged := make(map[int64]bool)
	for round := range 3 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "DATASTORE_TEST_CHILD="+string(job), "DATASTORE_TEST_KEY="+key,
			fmt.Sprintf("DATASTORE_TEST_FIRST=%d", round*10_000_000))
		cmd.Stderr = os.Stderr
		if server != nil {
			cmd.Stderr = nil // its panic, when the server is killed
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines, enough := bufio.NewScanner(out), time.Now().Add(10*time.Second)
		for n := 0; lines.Scan(); n++ {
			id, err := strconv.ParseInt(lines.Text(), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			acknowledged[id] = true
			if n == 300 || time.Now().After(enough) {
				if server != nil && round == 2 {
					server.Stop(t) // a crash of the server as well
				}
				_ = cmd.Process.Kill()
			}
		}
		_ = cmd.Wait()
	}
	if server != nil {
		server.Restart(t)
	}
	if len(acknowledged) < 900 {
		t.Fatalf("only %d writes", len(acknowledged))
	}
	db := run(t, config, key).db
	rows, err := db.Query(t.Context(), "SELECT id FROM test_rows")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		delete(acknowledged, id)
	}
	if rows.Err() != nil || len(acknowledged) > 0 {
		t.Errorf("lost: %v, %v", acknowledged, rows.Err())
	}
}
