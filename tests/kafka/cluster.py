"""Kafka by librdkafka, for tests: makes a topic, reads one back, is a cluster of several brokers.

make BROKERS TOPIC PARTITIONS
read BROKERS TOPIC RECORDS    a JSON object per line: partition, offset, key, headers, time, value
mock NUMBER TOPIC             prints where the cluster is, and lives until its standard input ends
"""

import json
import sys
import time

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
    print(",".join(f"{broker.host}:{broker.port}" for broker in known.brokers.values()), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    {"make": make, "read": read, "mock": mock}[sys.argv[1]](*sys.argv[2:])
