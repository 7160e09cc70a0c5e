// Sqlite keeps numbered records in a database of SQLite in pure Go, and answers by
// HTTP: PUT /N stores a record, GET / has all numbers, GET /check what SQLite says
// of its file. Its arguments are the file and the journal mode. Each record is on
// the disk when it is acknowledged.
package main

import (
	"database/sql"
	"fmt"
	"log"
	"net/http"
	"os"

	_ "modernc.org/sqlite"
)

func main() {
	db, err := open(os.Args[1], os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("PUT /{n}", func(w http.ResponseWriter, r *http.Request) {
		// A blob makes several pages of each change.
		if _, err := db.ExecContext(r.Context(), "INSERT INTO records VALUES (?, zeroblob(5000))", r.PathValue("n")); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	http.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { list(w, db, "SELECT n FROM records") })
	http.HandleFunc("GET /check", func(w http.ResponseWriter, r *http.Request) { list(w, db, "PRAGMA integrity_check") })
	log.Fatal(http.ListenAndServe(":80", nil))
}

// open opens the database. EXTRA makes SQLite sync the folder after it removed a journal,
// which is what commits with mode DELETE: with FULL, a power cut right behind a commit may
// take it back (SQLite's documentation, PRAGMA synchronous).
func open(file, mode string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(30000)&_pragma=journal_mode("+mode+")&_pragma=synchronous(EXTRA)")
	if err != nil {
		return nil, err
	}
	_, err = db.Exec("CREATE TABLE IF NOT EXISTS records (n INTEGER PRIMARY KEY, filling BLOB)")
	return db, err
}

// list prints the first column of a query's answer.
func list(w http.ResponseWriter, db *sql.DB, query string) {
	rows, err := db.Query(query)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprintln(w, text)
	}
}
