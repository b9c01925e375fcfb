#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "capdiff/serving/allowance.h"

namespace capdiff {

/// An open connection. All its work is done on its strand.
struct Connection {
  static constexpr std::size_t kReadBuffer = std::size_t{64} << 10;

  explicit Connection(boost::asio::ip::tcp::socket socket)
      : stream(std::move(socket)), buffer(kReadBuffer), deadline(stream.get_executor()) {}

  boost::beast::tcp_stream stream;
  boost::beast::flat_buffer buffer;
  boost::asio::steady_timer
      deadline;           ///< of reading; one of the stream's own would close it, and leave no way to say so
  bool late = false;      ///< the deadline has passed
  bool waiting = false;   ///< something is being read
  bool gave_way = false;  ///< another connection has its place now
  bool surplus = false;   ///< there was no place for it: it may ask one small thing
  Allowance::Ticket place;
  std::optional<std::list<std::weak_ptr<Connection>>::iterator> turn;  ///< among the waiting ones
};

/// The connections that wait for bytes of their clients. Where no place is left for a new one, the one that has waited
/// the longest gives way.
class WaitingConnections {
 public:
  using Clock = std::chrono::steady_clock;

  /// Something is about to be read, until the deadline at most.
  void begin(const std::shared_ptr<Connection>& connection, Clock::time_point deadline) {
    leave(*connection);
    {
      const std::lock_guard lock(mutex_);
      connection->turn = turns_.insert(turns_.end(), connection);
    }
    connection->waiting = true;
    connection->late = false;
    connection->deadline.expires_at(deadline);
    connection->deadline.async_wait([connection](const boost::system::error_code& error) {
      if (error || connection->deadline.expiry() > Clock::now()) return;
      connection->late = true;
      connection->stream.socket().cancel();
    });
  }

  /// It was read, or could not be: lifts the deadline, and makes an error of it that has come from it.
  void end(Connection& connection, boost::system::error_code& error) {
    leave(connection);
    connection.waiting = false;
    connection.deadline.expires_at(Clock::time_point::max());
    if (connection.gave_way)
      error = boost::asio::error::operation_aborted;
    else if (error == boost::asio::error::operation_aborted && connection.late)
      error = boost::beast::error::timeout;
  }

  /// Ends what the connection reads that has waited the longest, and returns its place; null where none waits.
  Allowance::Ticket take_place() {
    const std::lock_guard lock(mutex_);
    while (!turns_.empty()) {
      const std::shared_ptr<Connection> longest = turns_.front().lock();
      turns_.pop_front();
      if (!longest) continue;
      longest->turn.reset();
      if (longest->surplus || !longest->place) continue;
      boost::asio::post(longest->stream.get_executor(), [longest] {
        longest->gave_way = true;
        if (longest->waiting) longest->stream.socket().cancel();
      });
      return std::move(longest->place);
    }
    return nullptr;
  }

 private:
  void leave(Connection& connection) {
    const std::lock_guard lock(mutex_);
    if (connection.turn) turns_.erase(*connection.turn);
    connection.turn.reset();
  }

  std::mutex mutex_;
  std::list<std::weak_ptr<Connection>> turns_;  // the longest waiting first
};

}  // namespace capdiff
