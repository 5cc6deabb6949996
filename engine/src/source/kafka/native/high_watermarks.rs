//! Where partitions end, with what is not committed yet. The question that rdkafka offers counts
//! committed messages only, for a reader of these.

use std::ffi::CString;
use std::ops::Range;
use std::ptr;
use std::time::Duration;

use rdkafka::consumer::{Consumer, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka_sys as sys;
use strandline_operators::record::{Offset, Partition};

use super::{Client, offset, raw};

/// Asks for the end, by the place of an offset in the question.
const LATEST: i64 = -1;
/// How much longer the answer is waited for than a broker may take: what the others said comes with the
/// news that one of them said nothing.
const GATHER_MS: i32 = 500;

impl<C: ConsumerContext + 'static> Client<C> {
    /// The high watermark of each of `partitions` of a topic, in their order. Blocks for at most about
    /// `timeout`.
    ///
    /// # Errors
    ///
    /// Why there is no answer: for one partition, as where it has no leader, or for all.
    pub(in crate::source::kafka) fn high_watermarks(
        &self,
        topic: &str,
        partitions: Range<u32>,
        timeout: Duration,
    ) -> Result<Vec<Result<Offset, Code>>, Code> {
        let name = CString::new(topic).map_err(|_| Code::InvalidTopic)?;
        let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        let client = self.client().native_ptr();
        let count = i32::try_from(partitions.len()).unwrap_or(i32::MAX);
        // SAFETY: `client` lives as long as `self`, `name` until the end; each object that is made here
        // is destroyed here, once, and none is used after that. The elements of the list live as long
        // as it. The event owns the result, and is destroyed after its last use.
        unsafe {
            let list = sys::rd_kafka_topic_partition_list_new(count);
            for partition in partitions.clone() {
                let partition = raw(Partition(partition));
                let element =
                    sys::rd_kafka_topic_partition_list_add(list, name.as_ptr(), partition);
                (*element).offset = LATEST;
            }
            let queue = sys::rd_kafka_queue_new(client);
            let options = sys::rd_kafka_AdminOptions_new(
                client,
                sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTOFFSETS,
            );
            // A refused timeout leaves the client's own, which is finite too.
            let _ = sys::rd_kafka_AdminOptions_set_request_timeout(
                options,
                timeout_ms,
                ptr::null_mut(),
                0,
            );
            let refused = sys::rd_kafka_AdminOptions_set_isolation_level(
                options,
                sys::rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED,
            );
            let ends = if refused.is_null() {
                sys::rd_kafka_ListOffsets(client, list, options, queue);
                let event = sys::rd_kafka_queue_poll(queue, timeout_ms.saturating_add(GATHER_MS));
                let ends = listed(event, &partitions);
                if !event.is_null() {
                    sys::rd_kafka_event_destroy(event);
                }
                ends
            } else {
                sys::rd_kafka_error_destroy(refused);
                Err(Code::InvalidArgument)
            };
            sys::rd_kafka_AdminOptions_destroy(options);
            sys::rd_kafka_queue_destroy(queue);
            sys::rd_kafka_topic_partition_list_destroy(list);
            ends
        }
    }
}

/// The ends in an answer.
///
/// # Safety
///
/// `event` is null or an event of the client library that has not been destroyed.
unsafe fn listed(
    event: *mut sys::rd_kafka_event_t,
    partitions: &Range<u32>,
) -> Result<Vec<Result<Offset, Code>>, Code> {
    if event.is_null() {
        return Err(Code::OperationTimedOut);
    }
    // What a broker that did not answer would have said is not in the answer.
    let mut ends = vec![Err(Code::OperationTimedOut); partitions.len()];
    // SAFETY: as promised; null is asked for before each use, and there are `count` infos.
    unsafe {
        match Code::from(sys::rd_kafka_event_error(event)) {
            Code::NoError => {}
            code => return Err(code),
        }
        let result = sys::rd_kafka_event_ListOffsets_result(event);
        if result.is_null() {
            return Err(Code::Unknown);
        }
        let mut count = 0;
        let infos = sys::rd_kafka_ListOffsets_result_infos(result, &raw mut count);
        for at in 0..count {
            let info = *infos.add(at);
            let element = sys::rd_kafka_ListOffsetsResultInfo_topic_partition(info);
            if element.is_null() {
                return Err(Code::Unknown);
            }
            let number = u32::try_from((*element).partition).ok();
            let index = number.and_then(|number| number.checked_sub(partitions.start));
            let Some(end) = index.and_then(|index| ends.get_mut(index as usize)) else { continue };
            match (Code::from((*element).err), offset((*element).offset)) {
                (Code::NoError, Some(found)) => *end = Ok(found),
                (Code::NoError, None) => {}
                (code, _) => *end = Err(code),
            }
        }
    }
    Ok(ends)
}
