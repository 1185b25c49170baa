"""Kafka by librdkafka, for tests: makes a topic, reads one back, is a cluster of several brokers.

make BROKERS TOPIC PARTITIONS
read BROKERS TOPIC RECORDS    a JSON object per line: partition, offset, key, headers, time, value
mock NUMBER TOPIC             prints where the cluster is and who leads each partition, and lives until its standard input ends; `BROKER MS`
                              there has that broker wait for so long with each answer
"""

import ctypes
import json
import pathlib
import sys
import time

import confluent_kafka
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

PATIENCE = 60


def make(brokers, topic, partitions):
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            # It has to live as long as what it is asked for.
            admin = AdminClient({"bootstrap.servers": brokers})
            admin.create_topics([NewTopic(topic, int(partitions), 1)], request_timeout=5)[topic].result()
            return
        except KafkaException:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def read(brokers, topic, records):
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "tests", "enable.auto.commit": False})
    known = consumer.list_topics(topic, timeout=10).topics[topic]
    consumer.assign([TopicPartition(topic, partition, 0) for partition in known.partitions])
    left, quiet = int(records), 0
    # A little longer than it has to, so that one too many is seen, too.
    while left > 0 and quiet < PATIENCE or quiet < 2:
        message = consumer.poll(1)
        if message is None or message.error():
            quiet += 1
            continue
        left -= 1
        print(
            json.dumps(
                {
                    "partition": message.partition(),
                    "offset": message.offset(),
                    "key": message.key().decode(),
                    "headers": {name: value.decode() for name, value in message.headers() or []},
                    "time": message.timestamp()[1],
                    "value": json.loads(message.value()),
                }
            )
        )
    consumer.close()


def mock(number, topic):
    producer = Producer({"test.mock.num.brokers": int(number)})
    known = producer.list_topics(topic, timeout=10)
    print(",".join(f"{broker.host}:{broker.port}" for broker in known.brokers.values()))
    print(json.dumps({number: partition.leader for number, partition in known.topics[topic].partitions.items()}), flush=True)
    # The package does not hand out what librdkafka's own interface can do: it is the library that is loaded already, and the handle is what a
    # producer begins with.
    package = pathlib.Path(confluent_kafka.__file__).parent
    library = ctypes.CDLL(str(next(package.parent.glob("confluent_kafka.libs/librdkafka*"))))
    library.rd_kafka_handle_mock_cluster.restype = ctypes.c_void_p
    handle = ctypes.c_void_p.from_address(id(producer) + object.__basicsize__)
    mocked = ctypes.c_void_p(library.rd_kafka_handle_mock_cluster(handle))
    for line in sys.stdin:
        broker, wait = line.split()
        print(library.rd_kafka_mock_broker_set_rtt(mocked, int(broker), int(wait)), flush=True)


if __name__ == "__main__":
    {"make": make, "read": read, "mock": mock}[sys.argv[1]](*sys.argv[2:])
