package programs

import (
	"context"
	"fmt"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

const etcd = "go.etcd.io/etcd/server/v3@v3.7.2"

// TestEtcd: a key-value server that speaks gRPC, with its data in a file that it
// maps into memory.
func TestEtcd(t *testing.T) {
	image := build(t, etcd)
	addr, publish := port(t, "2379")
	s := serve(t, "-m", "512", "-p", publish, image, "--",
		"--data-dir", "/data", "--listen-client-urls", "http://0.0.0.0:2379", "--advertise-client-urls", "http://"+addr)
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{addr}, DialTimeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	s.eventually("a write", func() error {
		_, err := client.Put(t.Context(), "first", "1")
		return err
	})
	watch := client.Watch(t.Context(), "key/", clientv3.WithPrefix())
	for i := range 100 {
		if _, err := client.Put(t.Context(), fmt.Sprintf("key/%03d", i), fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	r, err := client.Get(t.Context(), "key/", clientv3.WithPrefix())
	if err != nil || r.Count != 100 || string(r.Kvs[99].Value) != "99" {
		t.Fatalf("%v %v", r, err)
	}
	seen := 0
	for seen < 100 {
		w, ok := <-watch
		if !ok || w.Err() != nil {
			t.Fatalf("the watch ended after %d events: %v", seen, w.Err())
		}
		seen += len(w.Events)
	}
	txn, err := client.Txn(t.Context()).If(clientv3.Compare(clientv3.Value("first"), "=", "1")).Then(clientv3.OpDelete("first")).Commit()
	if err != nil || !txn.Succeeded {
		t.Errorf("%v %v", txn, err)
	}
}

// TestEtcdLasts: etcd's log and its database, which it maps, are on a volume.
func TestEtcdLasts(t *testing.T) {
	image := build(t, etcd)
	l := &lasting{disk: volume(t, "512M"), synced: true}
	l.start = func() (*server, records) {
		addr, publish := port(t, "2379")
		s := serve(t, "-m", "512", "-p", publish, "-v", l.name+":/data", image, "--", "--log-level", "warn",
			"--data-dir", "/data/etcd", "--listen-client-urls", "http://0.0.0.0:2379", "--advertise-client-urls", "http://"+addr)
		client, err := clientv3.New(clientv3.Config{Endpoints: []string{addr}, DialTimeout: patience, Logger: zap.NewNop()})
		if err != nil {
			t.Fatal(err)
		}
		return s, etcdRecords{client}
	}
	l.run()
}

type etcdRecords struct{ client *clientv3.Client }

func (r etcdRecords) write(ctx context.Context, n int) error {
	_, err := r.client.Put(ctx, named(n), fmt.Sprint(n))
	return err
}

func (r etcdRecords) all(ctx context.Context) (map[int]bool, error) {
	found, err := r.client.Get(ctx, "record-", clientv3.WithPrefix())
	if err != nil {
		return nil, err
	}
	all := map[int]bool{}
	for _, kv := range found.Kvs {
		n, err := number(string(kv.Key))
		if err != nil || string(kv.Value) != fmt.Sprint(n) {
			return nil, fmt.Errorf("%s has the value %q", kv.Key, kv.Value)
		}
		all[n] = true
	}
	return all, nil
}

func (r etcdRecords) close() { r.client.Close() }
