"""The continuous process: a consumer that never stops, computes windows, and can be killed at any moment.

`windows` computes, `seen` tells a duplicate, `leases` share the shards among workers, `store` keeps what was computed
together with how far the shard was read, `worker` (Kinesis) and `kafka_worker` (Kafka) are the processes.
"""
