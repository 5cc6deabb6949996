//! The id that a cluster gives a topic: another one for each topic that has ever had its name.

use std::ffi::{CStr, CString};
use std::ptr;
use std::time::Duration;

use rdkafka::consumer::{Consumer, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka_sys as sys;

use super::Client;

/// What stands for "no id".
const NO_ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

impl<C: ConsumerContext + 'static> Client<C> {
    /// The topic's id, in base 64; `None` where the cluster gives none (before Kafka 2.8). Blocks
    /// for at most about `timeout`.
    ///
    /// # Errors
    ///
    /// Why there is no answer.
    pub(in crate::source::kafka) fn topic_id(
        &self,
        name: &str,
        timeout: Duration,
    ) -> Result<Option<String>, Code> {
        let name = CString::new(name).map_err(|_| Code::InvalidTopic)?;
        let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        let client = self.client().native_ptr();
        let mut names = [name.as_ptr()];
        // SAFETY: `client` lives as long as `self`, `names` and `name` until the end; each object
        // that is made here is destroyed here, once, and none is used after that. The event owns
        // the result, the description and the id, and is destroyed after their last use.
        unsafe {
            let topics = sys::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), 1);
            let queue = sys::rd_kafka_queue_new(client);
            let options = sys::rd_kafka_AdminOptions_new(
                client,
                sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
            );
            // A refused timeout leaves the client's own, which is finite too.
            let _ = sys::rd_kafka_AdminOptions_set_request_timeout(
                options,
                timeout_ms,
                ptr::null_mut(),
                0,
            );
            sys::rd_kafka_DescribeTopics(client, topics, options, queue);
            let event = sys::rd_kafka_queue_poll(queue, timeout_ms);
            let id = described(event);
            if !event.is_null() {
                sys::rd_kafka_event_destroy(event);
            }
            sys::rd_kafka_AdminOptions_destroy(options);
            sys::rd_kafka_queue_destroy(queue);
            sys::rd_kafka_TopicCollection_destroy(topics);
            id
        }
    }
}

/// The id in an answer.
///
/// # Safety
///
/// `event` is null or an event of the client library that has not been destroyed.
unsafe fn described(event: *mut sys::rd_kafka_event_t) -> Result<Option<String>, Code> {
    if event.is_null() {
        return Err(Code::OperationTimedOut);
    }
    // SAFETY: as promised; null is asked for before each use.
    unsafe {
        let result = sys::rd_kafka_event_DescribeTopics_result(event);
        match Code::from(sys::rd_kafka_event_error(event)) {
            Code::NoError => {}
            // A broker that cannot be asked this way has no ids.
            Code::UnsupportedFeature | Code::UnsupportedVersion => return Ok(None),
            code => return Err(code),
        }
        if result.is_null() {
            return Err(Code::Unknown);
        }
        let mut count = 0;
        let topics = sys::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        if topics.is_null() || count != 1 {
            return Err(Code::Unknown);
        }
        let topic = *topics;
        let error = sys::rd_kafka_error_code(sys::rd_kafka_TopicDescription_error(topic));
        match Code::from(error) {
            Code::NoError => {}
            code => return Err(code),
        }
        let id = sys::rd_kafka_TopicDescription_topic_id(topic);
        let text = if id.is_null() { ptr::null() } else { sys::rd_kafka_Uuid_base64str(id) };
        if text.is_null() {
            return Ok(None);
        }
        let text = CStr::from_ptr(text).to_string_lossy().into_owned();
        Ok((text != NO_ID).then_some(text))
    }
}
